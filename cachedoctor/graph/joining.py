"""The joining record: it links to all leaves of a cache, so that the cache has one leaf instead of several.

Importers of BuildKit v0.25 to v0.32 drop links of a cache with several leaves (`imports`). No build looks a joining
record up, since no operation has its digest, and no exporter writes it again: exports go from the result of a build to
what it was made from. So it is left out of everything that is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from cachedoctor.cacheconfig import CacheConfig, all_within


def leaves_of(size: int, links: Iterable[int]) -> list[int]:
    """Those of `size` items that no other links to, ascending. `links` has the source of each link."""
    linked = set(links)
    return [] if len(linked) == size else [item for item in range(size) if item not in linked]


def digest_of_joining(leaves: Iterable[str]) -> str:
    """The digest of the record that joins leaves with these digests, in any order.

    The digest of a cache key is that of `OPERATION@OUTPUT` as a text (v0.8 to v0.32: `solver.rootKey`), or of content.
    No such text begins like this one.
    """
    text = "\n".join(("cachedoctor: a record that joins these leaves", *sorted(leaves)))
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def with_joining(config: CacheConfig, leaves: Sequence[int]) -> CacheConfig:
    """The document with a joining record after its last record, which links to these records in this order."""
    return replace(
        config,
        digests=[*config.digests, digest_of_joining(map(config.digests.__getitem__, leaves))],
        input_start=[*config.input_start, len(config.link_start)],
        link_start=[*config.link_start, len(config.links) + len(leaves)],
        links=[*config.links, *leaves],
        selectors=[*config.selectors, *[""] * len(leaves)],
        result_start=[*config.result_start, len(config.results)],
    )


def without_joining(config: CacheConfig) -> CacheConfig:
    """The document without its joining record, if it has one."""
    if joining_record(config) is None:
        return config
    first = config.link_start[-2]
    return replace(
        config,
        digests=config.digests[:-1],
        input_start=config.input_start[:-1],
        link_start=config.link_start[:-1],
        links=config.links[:first],
        selectors=config.selectors[:first],
        result_start=config.result_start[:-1],
    )


def joining_record(config: CacheConfig) -> int | None:
    """The index of the joining record of a document, `None` if it has none. It is always the last record.

    It has no result, one input, and alternatives without selectors, whose digests give its own; no record links to it.
    """
    last = len(config.digests) - 1
    if last < 1 or config.input_start[last] + 1 != config.input_start[last + 1]:
        return None
    slot = config.input_start[last]
    links = config.links[config.link_start[slot] : config.link_start[slot + 1]]
    plain = not any(config.selectors[config.link_start[slot] : config.link_start[slot + 1]])
    has_results = config.result_start[last] < config.result_start[last + 1] or any(
        record == last for record, _, _ in config.chains
    )
    if len(links) < 2 or not plain or has_results or not all_within(links, last):
        return None
    if config.digests[last] != digest_of_joining(config.digests[link] for link in links):
        return None
    return None if last in config.links else last
