"""Asking a registry for many blobs, a few at a time, without fetching any."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cachedoctor.errors import InputError
from cachedoctor.sources.document import Sizes
from cachedoctor.sources.presence import REGISTRY

if TYPE_CHECKING:
    from cachedoctor.sources.registry.client import Repository

PARALLEL = 4
"""Requests that are made at the same time."""
MOST_ASKED = 10_000
"""Blobs of one manifest that a registry is asked for."""
MOST_FAILURES = 3
"""Requests that may fail before the rest is not made: each is tried several times, and waits."""


def blob_sizes(repository: Repository, digests: Sequence[str]) -> Sizes:
    """The sizes of these blobs, asked with a HEAD request each (`Repository.blob_size`).

    At most `MOST_ASKED` are asked for. Those without an answer are unknown; after `MOST_FAILURES` of them all others
    are, too.
    """
    asked = digests[:MOST_ASKED]
    sizes: dict[str, int] = {}
    absent: set[str] = set()
    problems: list[str] = []

    def ask(digest: str) -> None:
        if len(problems) >= MOST_FAILURES:
            return
        try:
            size = repository.blob_size(digest)
        except InputError as error:
            problems.append(repository.transport.harmless(error.problem))
            return
        if size is None:
            absent.add(digest)
        else:
            sizes[digest] = size

    # The first one alone: if the registry asks for credentials, the others have them already.
    for digest in asked[:1]:
        ask(digest)
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        list(pool.map(ask, asked[1:]))
    finally:
        pool.shutdown(cancel_futures=True)
    unknown = frozenset(digests) - sizes.keys() - absent
    why = problems[0] if problems else f"only the first {MOST_ASKED:,} are asked for"
    return Sizes(REGISTRY, sizes, unknown, why if unknown else "")
