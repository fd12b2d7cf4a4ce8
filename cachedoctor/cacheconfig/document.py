"""A decoded cache config as flat columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NO_PARENT = -1
"""`parent` of a layer that has none (BuildKit v0.8 to v0.32: `v1.CacheLayer.ParentIndex`)."""


MOST_NESTED = 100
"""Levels of arrays and objects in values that are kept as they were read, since JSON writers have limits too."""


def nested_too_deep(value: object) -> bool:
    """Whether arrays and objects are nested in more than `MOST_NESTED` levels."""
    level = [value]
    for _ in range(MOST_NESTED):
        level = [inner for outer in level for inner in _containers(outer)]
        if not level:
            return False
    return True


def _containers(value: Any) -> list[Any]:
    """The arrays and objects directly inside a value."""
    elements = value.values() if type(value) is dict else value if type(value) is list else ()
    return [element for element in elements if type(element) is dict or type(element) is list]


def all_within(numbers: Sequence[int], count: int) -> bool:
    """Whether all numbers are indices of a list with `count` elements."""
    return not numbers or (min(numbers) >= 0 and max(numbers) < count)


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """One cache config (BuildKit `cache/remotecache/v1.CacheConfig`) as it was read, right or wrong.

    Records, inputs, links and results are numbered in the order of the document. Nested lists are stored flat with
    offsets: the inputs of record `r` are `input_start[r]` to `input_start[r + 1]`, the links (alternatives) of input
    `i` are `link_start[i]` to `link_start[i + 1]`. Indices are as written, also where they point outside the document.
    """

    blobs: list[str]
    """Digest of the blob of each layer."""
    parents: list[int]
    """Index of the parent of each layer, `NO_PARENT` for none."""
    digests: list[str]
    """Digest of each record."""
    input_start: list[int]
    """Offset of each record's first input; one entry more than there are records."""
    link_start: list[int]
    """Offset of each input's first link; one entry more than there are inputs."""
    links: list[int]
    """The record that each link points to."""
    selectors: list[str]
    """The selector of each link, empty for none."""
    result_start: list[int]
    """Offset of each record's first result; one entry more than there are records."""
    results: list[int]
    """The layer that each result points to."""
    result_created: list[str]
    """`createdAt` of each result as written, empty where absent."""
    chains: list[tuple[int, list[int], str]]
    """Record, layers and `createdAt` of each chain (inline caches only)."""
    layer_fields: list[dict[str, Any] | None]
    """What each layer has beyond `blob` and `parent`, such as `annotations`; `None` for nothing."""
    unknown_fields: tuple[str, ...]
    """Fields that BuildKit does not have, but for those of layers: `records[].note`."""

    @property
    def annotated(self) -> bool:
        """Whether layers have annotations, as the gha, s3 and azblob backends write them and the others do not."""
        return any(fields and "annotations" in fields for fields in self.layer_fields)
