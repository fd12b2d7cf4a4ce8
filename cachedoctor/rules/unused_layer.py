"""No result needs a layer.

**What it means.** No result points to the layer, or to a layer that has it as a parent.

**How it is found.** Every result and every layer of a chain is followed along its parents; layers that are never
passed are counted. Inline caches are skipped, because their layers are those of the image. The `records` of this
finding are indices of layers.

**Severity.** Note.

**Versions.** Every BuildKit.

**What you see.** Nothing; the registry keeps their blobs.

**What to do.** No action needed: they only take up space.

**What does not help.** Nothing needs to.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.graph import layers
from cachedoctor.numbers import count
from cachedoctor.rules._shared import agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD304",
    "unused-layer",
    Severity.NOTE,
    affects=str(EVERY),
    help=("No action needed: they only take up space. cachedoctor repair leaves them out.",),
    scope=Scope.DOCUMENT,
    noun="layer",
)
def unused_layer(context: Context) -> Iterator[Found]:
    """List the unused layers of each document. Those of an inline cache are layers of the image, needed or not."""
    for document in context.documents:
        if document.kind == "inline":
            continue
        used = layers.used_layers(document.config)
        if 0 in used:
            unused = [layer for layer, needed in enumerate(used) if not needed]
            be = agree(len(unused), "is not needed", "are not needed")
            yield Found(f"{count(len(unused))} of {len(used):,} layers {be} by any result.", unused, document.source)
