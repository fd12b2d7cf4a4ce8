"""The tag of an OCI layout leads nowhere, or is not the one that builds look for.

**What it means.** A build finds nothing with `--cache-from type=local,src=DIR`, although the cache is in the folder.
There are two cases. Either `index.json` names a manifest that is not in the layout, and the same manifest is there in
another form, under another digest. Or the layout has no tag `latest`, which is what BuildKit looks up if the build does
not say `tag=`.

**How it is found.** If the requested manifest of a layout has no blob, cachedoctor looks among the blobs of nearly
the same size for an image manifest which, written as an index of the same layers and config, has the digest that is
named. If there is one, that is read, and the finding gives both digests. Otherwise the layout cannot be read, and
`analyze` exits with code 2. The tags are those in `index.json`. Images are skipped, also those with an inline cache,
and so is what `docker save` wrote, since nobody imports these with `type=local`.

**Severity.** Warning. Note if you named the tag yourself, with `--tag` or `oci:DIR:TAG`, or if the layout has no tags.

**Versions.** Every BuildKit looks for `latest`. Up to v0.28, a build without it fails; v0.29 and later continue without
the cache. The other case was seen with v0.21.1 and `type=local,image-manifest=true`.

**What you see.** The build runs every step. Up to v0.28 it may fail with `local cache importer requires either explicit
digest, "latest" tag or custom tag on index.json`; later ones print `skipped: no digest found for tag latest`.

**What to do.**

1. If the layout has another tag, name it in every build that imports it: `--cache-from type=local,src=DIR,tag=NAME`. Or
   export without `tag=`. If all your builds do, pass the tag to cachedoctor as well: `--tag NAME`.
2. If the tag leads nowhere, import the digest that is there, the last one in the message:
   `--cache-from type=local,src=DIR,digest=sha256:…`. Or export with
   `--cache-to type=local,dest=DIR,image-manifest=false`.

**What does not help.** `--cache-from type=local,src=DIR,tag=…` if the tag leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import FAILS_WITHOUT_TAG
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule
from cachedoctor.sources import CacheDocument
from cachedoctor.text import cut

_SHOWN = 5
"""Tags that a message names."""
_LETTERS = 128
"""Letters of a tag that are shown; longer ones are not tags."""


@rule(
    "CD106",
    "dangling-tag",
    Severity.WARNING,
    affects="every BuildKit, with type=local",
    help=(
        "Import it by the digest that is there: --cache-from type=local,src=DIR,digest=sha256:...",
        "Or export with image-manifest=false.",
    ),
    scope=Scope.DOCUMENT,
)
def dangling_tag(context: Context) -> Iterator[Found]:
    """Report what was noticed while the layout was read."""
    for document in context.documents:
        if document.named_digest:
            yield Found(
                f"index.json names the manifest {document.named_digest}, which is not in the layout. The same manifest "
                f"is there in another form, as {document.manifest_digest}, where type=local does not find it.",
                source=document.source,
                help=(
                    f"Import it by the digest that is there: --cache-from type=local,src=DIR,"
                    f"digest={document.manifest_digest}",
                    "Or repair it, which sets the tag anew.\ncachedoctor repair SOURCE -o DEST",
                    "Or export with image-manifest=false.",
                ),
            )
        if document.other_tags is not None:
            yield _without_latest(document, context)


def _without_latest(document: CacheDocument, context: Context) -> Found:
    chosen = document.location.tag if document.location else None
    tags = [cut(tag, _LETTERS) for tag in document.other_tags or ()]
    more = f" and {len(tags) - _SHOWN:,} more" if len(tags) > _SHOWN else ""
    others = f"only {', '.join(tags[:_SHOWN])}{more}" if tags else "nor any other"
    option = f"tag={chosen or tags[0]}" if tags else f"digest={document.manifest_digest}"
    releases = context.buildkit or FAILS_WITHOUT_TAG
    fails = f" With {releases}, a build without it fails." if FAILS_WITHOUT_TAG.concerns(context.buildkit) else ""
    return Found(
        f"The layout has no tag latest, {others}. BuildKit looks for latest unless a build names another tag, so "
        f"builds find this cache only with {option}.{fails}",
        source=document.source,
        severity=Severity.WARNING if tags and chosen is None else Severity.NOTE,
        help=(
            f"Import it with --cache-from type=local,src=DIR,{option}",
            "Or export it without tag=, so that it becomes latest.",
        ),
    )
