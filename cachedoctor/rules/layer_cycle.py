"""A layer is its own ancestor.

**What it means.** Following `parent` from the layer leads back to it.

**How it is found.** The parents of each layer are followed once, and every layer on a cycle is listed. Layers that
only lead into a cycle are not. The `records` of this finding are indices of layers.

**Severity.** Error. Warning if the importer does not get around the cycle: no result needs these layers, or the
manifest does not list the blob of one of them.

**Versions.** Every BuildKit refuses the whole cache, as soon as a result needs one of these layers.

**What you see.** `invalid looping layer`.

**What to do.** [Repair it, or delete it](#repair-it-or-delete-it).

**What does not help.** Pushing the layers again: the cycle is in the cache config, not in the blobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cachedoctor.buildkit import EVERY
from cachedoctor.graph import layers
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import DELETE, REFUSED, REPAIR, UNNOTICED, agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule
from cachedoctor.sources import CacheDocument


@rule(
    "CD105",
    "layer-cycle",
    Severity.ERROR,
    affects=str(EVERY),
    help=(REPAIR, DELETE),
    scope=Scope.DOCUMENT,
    refused_by=EVERY,
    noun="layer",
)
def layer_cycle(context: Context) -> Iterator[Found]:
    """List the layers of each document that are on a cycle of parents."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        if tree.cyclic:
            refused = _is_walked(tree.cyclic, document)
            be = agree(len(tree.cyclic), "is its own ancestor", "are their own ancestors")
            yield Found(
                f"{plural(len(tree.cyclic), 'layer')} {be}, for example layer {tree.cyclic[0]}. "
                f"{REFUSED if refused else UNNOTICED}",
                tree.cyclic,
                document.source,
                None if refused else Severity.WARNING,
                refuses=refused,
            )


def _is_walked(cyclic: Sequence[int], document: CacheDocument) -> bool:
    """Whether the importer goes around any of these cycles. It leaves a cycle where the blob of a layer is missing."""
    followed = layers.followed_layers(document.config, document.blobs)
    stopped = {layer for layer in cyclic if not followed[layer]}
    for layer in list(stopped):
        parent = document.config.parents[layer]
        while parent not in stopped:
            stopped.add(parent)
            parent = document.config.parents[parent]
    return len(stopped) < len(cyclic)
