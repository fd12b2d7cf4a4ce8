"""The tag of an OCI layout names a manifest that is not there, although the cache is.

**What it means.** `index.json` names a manifest that is not in the layout. The same manifest is there in another
form, under another digest.

**How it is found.** If the requested manifest of a layout has no blob, cachedoctor looks among the blobs of nearly
the same size for an image manifest which, written as an index of the same layers and config, has the digest that is
named. If there is one, that is read, and the finding gives both digests. Otherwise the layout cannot be read, and
`analyze` exits with code 2.

**Severity.** Warning.

**Versions.** Seen with v0.21.1 and `type=local,image-manifest=true`.

**What you see.** `--cache-from type=local,src=DIR` does not find its manifest, and the build continues without the
cache.

**What to do.**

1. Import it by the digest that is there, the last one in the message:
   `--cache-from type=local,src=DIR,digest=sha256:…`
2. Or export with `--cache-to type=local,dest=DIR,image-manifest=false`.

**What does not help.** `--cache-from type=local,src=DIR,tag=…`: it is the tag that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import DANGLING_TAG_SEEN
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD106",
    "dangling-tag",
    Severity.WARNING,
    affects=f"seen with {DANGLING_TAG_SEEN} and type=local,image-manifest=true",
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
            )
