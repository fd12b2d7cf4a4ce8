"""What BuildKit has of a cache once it has imported it: merged records, usable results, and links it may lose."""

from __future__ import annotations

from collections.abc import Sequence

from cachedoctor.buildkit import LOSES_LINKS, Release
from cachedoctor.builds.build import chain_digest
from cachedoctor.graph.layers import incomplete_layers, parents_first, results
from cachedoctor.graph.survey import Survey


class Importable:
    """One cache as an importer sees it: merged records, which of them have a usable result, and links it can lose.

    `blobs` are those that the manifest lists, `None` for all: a result that needs another is dropped. `release` is the
    importer, `None` for any.
    """

    def __init__(self, survey: Survey, release: Release | None = None, blobs: frozenset[str] | None = None) -> None:
        (config,) = survey.configs
        self.graph = survey.importable
        self.unsafe = survey.losable if LOSES_LINKS.concerns(release) else frozenset[int]()
        self.results: list[set[str]] = [set() for _ in range(self.graph.size)]
        """For each record, its results as `chain_digest`s."""
        (tree,) = survey.trees
        incomplete = incomplete_layers(config, tree, blobs) if blobs is not None else bytearray(len(config.blobs))
        digests = [""] * len(config.blobs)
        for layer in parents_first(config, tree):
            if tree.depth[layer]:
                below = digests[config.parents[layer]] if tree.depth[layer] > 1 else ""
                digests[layer] = chain_digest([config.blobs[layer]], below)
        for record, layer in results(config):
            item = survey.merged.item_of[record]
            if item >= 0 and 0 <= layer < len(digests) and digests[layer] and not incomplete[layer]:
                self.results[item].add(digests[layer])
        for record, layers, _ in config.chains:
            item = survey.merged.item_of[record]
            if item >= 0 and layers and all(0 <= layer < len(digests) and not incomplete[layer] for layer in layers):
                self.results[item].add(chain_digest(config.blobs[layer] for layer in layers))


def importables(
    survey: Survey, release: Release | None = None, blobs: Sequence[frozenset[str] | None] = ()
) -> list[Importable]:
    """Each cache of a survey by itself, as builds import them."""
    alone = [survey] if len(survey.configs) == 1 else [Survey([config]) for config in survey.written]
    listed_blobs = blobs or [None] * len(alone)
    return [Importable(one, release, of_one) for one, of_one in zip(alone, listed_blobs, strict=True)]
