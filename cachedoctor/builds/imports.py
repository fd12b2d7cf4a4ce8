"""What BuildKit has of caches once it has imported them: records, usable results, and links it may lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.buildkit import LOSES_LINKS, REWRITTEN, Release
from cachedoctor.builds.build import chain_digest
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.layers import LayerTree, incomplete_layers, parents_first, results
from cachedoctor.graph.records import Graph
from cachedoctor.graph.survey import Survey

Blobs = frozenset[str] | None
"""The blobs that a manifest lists, `None` for all: a result that needs another is dropped."""


@dataclass(frozen=True)
class Importable:
    """One cache as some releases import it."""

    graph: Graph
    results: list[set[str]]
    """For each record, its results as `chain_digest`s."""
    unsafe: frozenset[int] = frozenset()
    """The indices of links that can be lost."""


@dataclass(frozen=True)
class Imports:
    """All caches as some releases import them."""

    caches: Sequence[Importable]
    lossy: bool
    """Whether these releases may lose what leads to records."""


def imports(survey: Survey, release: Release | None = None, blobs: Sequence[Blobs] = ()) -> list[Imports]:
    """The caches of a survey, each by itself, as a release imports them: for `None`, in each way that releases do.

    From v0.25 on, records are merged as they are imported (`v1.(*CacheChains).Add`); before that, they are found as
    they are written (`v1.ParseConfig`). `blobs` are those of each cache.
    """
    alone = [survey] if len(survey.configs) == 1 else [Survey([config]) for config in survey.written]
    of_each = list(zip(alone, blobs or [None] * len(alone), strict=True))
    lossy = LOSES_LINKS.concerns(release) and (len(alone) > 1 or any(one.losable for one in alone))
    as_written = [Imports([_written(one, listed) for one, listed in of_each], lossy=False)]
    if release is not None and release not in REWRITTEN:
        return as_written
    merged = [Imports([_merged(one, listed, lossy=lossy) for one, listed in of_each], lossy)]
    if release is not None or (not lossy and all(one.importable == one.graph for one in alone)):
        return merged
    return merged + as_written


def _written(survey: Survey, blobs: Blobs) -> Importable:
    return Importable(survey.graph, _results(survey, blobs))


def _merged(survey: Survey, blobs: Blobs, *, lossy: bool) -> Importable:
    of_items: list[set[str]] = [set() for _ in range(survey.merged.size)]
    for item, of_record in zip(survey.merged.item_of, _results(survey, blobs), strict=True):
        if item >= 0:
            of_items[item] |= of_record
    return Importable(survey.importable, of_items, survey.losable if lossy else frozenset())


def _results(survey: Survey, blobs: Blobs) -> list[set[str]]:
    """The usable results of each record of the only config of a survey."""
    (config,), (tree,) = survey.configs, survey.trees
    digests = _digests(config, tree, blobs)
    found: list[set[str]] = [set() for _ in config.digests]
    for record, layer in results(config):
        if 0 <= layer < len(digests) and digests[layer]:
            found[record].add(digests[layer])
    for record, layers, _ in config.chains:
        if layers and all(0 <= layer < len(digests) and digests[layer] for layer in layers):
            found[record].add(chain_digest(config.blobs[layer] for layer in layers))
    return found


def _digests(config: CacheConfig, tree: LayerTree, blobs: Blobs) -> list[str]:
    """The `chain_digest` of each layer with those below it, empty if one of them cannot be used."""
    incomplete = incomplete_layers(config, tree, blobs) if blobs is not None else bytes(len(config.blobs))
    digests = [""] * len(config.blobs)
    for layer in parents_first(config, tree):
        if tree.depth[layer] and not incomplete[layer]:
            below = digests[config.parents[layer]] if tree.depth[layer] > 1 else ""
            digests[layer] = chain_digest([config.blobs[layer]], below)
    return digests
