"""A decoded cache config as flat columns."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
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


def all_within(numbers: Collection[int], count: int) -> bool:
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


_CLOCK = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d++)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_TIME = re.compile(rf"(\d{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]){_CLOCK}", re.ASCII)
_TIMES = re.compile(rf"(?:\d{{4}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]){_CLOCK}\n)*+", re.ASCII)
_LONG_MONTHS = frozenset({1, 3, 5, 7, 8, 10, 12})


def is_time(text: str) -> bool:
    """Whether Go accepts the text as a time (`time.Time.UnmarshalJSON`, RFC 3339)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    return day <= 28 or day <= (_days_of_february(year) if month == 2 else 30 + (month in _LONG_MONTHS))


def are_times(texts: Collection[str]) -> bool:
    """Whether each text is a time, or empty, which stands for an absent time."""
    present = [text for text in texts if text]
    lines = "\n".join([*present, ""])
    # One match is enough if every day is in all months. A text with a line break could look like two times.
    whole = lines.count("\n") == len(present)
    return (whole and _TIMES.fullmatch(lines) is not None) or all(map(is_time, present))


def _days_of_february(year: int) -> int:
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28


def instant(created: str) -> tuple[str, str]:
    """A key to sort times by: whole seconds in UTC, then the fraction. Absent times come first."""
    if created.endswith("Z"):
        whole, _, fraction = created[:-1].partition(".")
        return whole, fraction
    if not created:
        return "", ""
    whole, zone = created[:-6], created[-6:]
    whole, _, fraction = whole.partition(".")
    try:
        utc = datetime.fromisoformat(whole + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return "", ""
    return utc.replace(tzinfo=None).isoformat(), fraction
