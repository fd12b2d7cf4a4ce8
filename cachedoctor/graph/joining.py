"""The joining record: it links to all leaves of a cache, so that the cache has one leaf instead of several.

Importers of BuildKit v0.25 to v0.32 drop links of a cache with several leaves (`imports`). No build looks a joining
record up, since no operation has its digest, and no exporter writes it again: exports go from the result of a build to
what it was made from. So it is left out of everything that is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from cachedoctor.cacheconfig import CacheConfig, all_within


def digest_of_joining(leaves: Iterable[str]) -> str:
    """The digest of the record that joins leaves with these digests, in any order.

    The digest of a cache key is that of `OPERATION@OUTPUT` as a text (v0.8 to v0.32: `solver.rootKey`), or of content.
    No such text begins like this one.
    """
    text = "\n".join(("cachedoctor: a record that joins these leaves", *sorted(leaves)))
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


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
