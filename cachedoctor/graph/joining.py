"""The joining record: it links to all leaves of a cache, so that the cache has one leaf instead of several.

Importers of BuildKit v0.25 to v0.32 drop links of a cache with several leaves (`imports`). No build looks a joining
record up, since no operation has its digest, and no exporter writes it again: exports go from the result of a build to
what it was made from. So it is left out of everything that is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain

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
    """The document without its joining records, if it has any."""
    joining = joining_records(config)
    if not joining:
        return config
    end = joining.start
    inputs = config.input_start[end]
    links = config.link_start[inputs]
    return replace(
        config,
        digests=config.digests[:end],
        input_start=config.input_start[: end + 1],
        link_start=config.link_start[: inputs + 1],
        links=config.links[:links],
        selectors=config.selectors[:links],
        result_start=config.result_start[: end + 1],
    )


def joining_records(config: CacheConfig) -> range:
    """The indices of the joining records of a document: the last record or none, unless somebody imitates them.

    Such a record has no result, one input, and alternatives without selectors, whose digests give its own; no record
    links to it but other joining records after it. O(records + links).
    """
    start = end = len(config.digests)
    while start > 1 and _only_joins(config, start - 1):
        start -= 1
    if start == end:
        return range(end, end)
    # Those from `start` on link only to lower records, so it takes a record before `start` to keep one of them.
    links = config.links[: config.link_start[config.input_start[start]]]
    used = chain(links, (record for record, _, _ in config.chains))
    return range(max(start, max(filter(end.__gt__, used), default=-1) + 1), end)


def _only_joins(config: CacheConfig, record: int) -> bool:
    """Whether the input and the digest of a record are those of a joining record, and it has no result."""
    slot, after = config.input_start[record : record + 2]
    if slot + 1 != after or config.result_start[record] < config.result_start[record + 1]:
        return False
    span = slice(config.link_start[slot], config.link_start[slot + 1])
    links = config.links[span]
    if len(links) < 2 or any(config.selectors[span]) or not all_within(links, record):
        return False
    return config.digests[record] == digest_of_joining(map(config.digests.__getitem__, links))
