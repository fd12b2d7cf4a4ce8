"""The times in a cache config: RFC 3339, kept as text."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

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
