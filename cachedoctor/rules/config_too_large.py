"""The cache config or its manifest is larger than what BuildKit imports.

**What it means.** BuildKit imports a cache config or a manifest of at most 1 MiB. The export of a larger one
succeeds, but no build can ever use it.

**How it is found.** The sizes of the cache config and of its manifest or index, if that was read, are compared with
1,048,576 bytes, or with `check --max-bytes`. Exactly the limit is still fine. If both are too large, there are two
findings. Inline caches are skipped. BuildKit writes a config without spaces: if a file was reformatted, for example by
`jq`, what counts is its size without them, and the report says so.

**Severity.** Error.

**Versions.** Every BuildKit to date (`remotecache.readBlob`); a higher limit has been proposed upstream, but not
released. The limit applies to the `registry` and `local` backends. The importers of `gha`, `s3` and `azblob` do not
have it: they annotate the layers in the config, and the rule skips such a config.

**What you see.** The importing build prints

```text
importing cache manifest from REF
ERROR: blob sha256:… is too large (1618088 > 1048576)
```

and continues without the cache. All you may notice is that nothing is ever `CACHED`.

**What to do.**

1. Run [`cachedoctor repair SOURCE -o DEST --max-bytes auto`](repair.md). It removes just enough alternatives to get
   a tenth below the limit, and keeps every record and every result.
2. [Start over](#a-fresh-start) with a new tag and a new builder. Nearly all bytes of a large config are links between
   records, and most of these records come from old builds.
3. Give each Dockerfile or target its own tag, and import only that one:
   `--cache-from type=registry,ref=REGISTRY/app-cache:api --cache-to type=registry,ref=REGISTRY/app-cache:api,mode=max`
4. Or export an inline cache with the image: `--cache-to type=inline`. It has no such limit, but holds only the layers
   of the final image, so steps of other stages run again when they are needed.

**What does not help.** Exporting to the same tag again: the builder's own store still has the old records. A different
compression: it applies to layers, not to the config. `mode=min` saves little: it drops layers, but it is the records
that take up the space ([why](#what-modemin-does)).
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY, IMPORT_LIMIT
from cachedoctor.rules._shared import START_OVER
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD101",
    "config-too-large",
    Severity.ERROR,
    affects="every BuildKit to date; a higher limit has been proposed upstream, but not released",
    help=(
        "Repair it with a limit of 1 MiB, or your own. This removes just enough alternatives to get a tenth below it, "
        "and keeps every record and every result.\ncachedoctor repair SOURCE -o DEST --max-bytes auto",
        START_OVER,
        "Give each Dockerfile or target its own cache tag, and import only that one.",
        "Or export an inline cache (type=inline): it has no such limit, but holds only results of the final stage.",
        "mode=min saves little: it drops layers, but it is the records that take up the space.",
    ),
    scope=Scope.DOCUMENT,
    refused_by=EVERY,
)
def config_too_large(context: Context) -> Iterator[Found]:
    """Compare the config and the manifest of each document with the limit, if it has one."""
    limit = context.limits.max_bytes
    for document in context.documents:
        if not document.is_limited:
            continue
        written = "" if document.reformatted_from is None else " as BuildKit writes it"
        for what, how, size in (
            ("cache config", written, document.written_size),
            ("manifest", "", document.manifest_size or 0),
        ):
            if size > limit:
                yield Found(
                    f"The {what} has {size:,} bytes{how}, {size - limit:,} more than {_consequence(size, limit)}",
                    source=document.source,
                    measure=Measure(f"bytes of the {what}", size),
                    refuses=size > IMPORT_LIMIT,
                )


def _consequence(size: int, limit: int) -> str:
    if limit == IMPORT_LIMIT:
        return f"the {limit:,} that BuildKit imports. The export succeeds, but no build can ever use it."
    unusable = ", so no build can ever use it" if size > IMPORT_LIMIT else ""
    return f"the limit of {limit:,}. BuildKit imports at most {IMPORT_LIMIT:,}{unusable}."
