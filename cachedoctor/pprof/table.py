"""The text that `go tool pprof -top` prints, as people paste it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cachedoctor.errors import InputError
from cachedoctor.pprof.top import Row, Top
from cachedoctor.pprof.units import SMALLEST

COLUMNS = frozenset({"flat", "flat%", "sum%", "cum", "cum%"})
MOST_ROWS = 1_000_000
LARGEST = 2**63 - 1
"""The largest value, as in a profile itself."""

_VALUE = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)([a-zA-Zμµ]{0,5})$")
_PERCENT = re.compile(r"-?\d{1,9}(?:\.\d{1,9})?(?:e[-+]\d{1,3})?%$")
_SHOWING = re.compile(r"Showing nodes accounting for (\S+), +(\S+)% of (\S+) total")
_DROPPED = re.compile(r"Dropped (\d{1,9}) nodes? \(cum <= ([^)\s]+)\)")
_DURATION = re.compile(r"Duration: ([^,\s]+),")
_TYPE = re.compile(r"Type: (\S+)")
_BROKEN = re.compile(r"(?!\(pprof\))[\w.*(\[/][^\s$%#>]*[./)\]][^\s$%#>]*|\((partial-)?inline\)")
_RULE = re.compile(r"[-:|\s]+")
_INLINE = re.compile(r" \((inline|partial-inline)\)$")

# All values are converted to the smallest unit of their family, so that they are exact integers.
_UNITS = {
    "": (1, "count"),
    "ns": (1, "nanoseconds"),
    "us": (10**3, "nanoseconds"),
    "µs": (10**3, "nanoseconds"),
    "μs": (10**3, "nanoseconds"),
    "ms": (10**6, "nanoseconds"),
    "s": (10**9, "nanoseconds"),
    "mins": (60 * 10**9, "nanoseconds"),
    "hrs": (3600 * 10**9, "nanoseconds"),
    "B": (1, "bytes"),
    "kB": (1 << 10, "bytes"),
    "MB": (1 << 20, "bytes"),
    "GB": (1 << 30, "bytes"),
    "TB": (1 << 40, "bytes"),
    "PB": (1 << 50, "bytes"),
}


class Table(NamedTuple):
    """A table that was read, and what its heading says."""

    top: Top
    sample_type: str
    """`cpu`, `inuse_space`, …; empty if the heading does not say."""
    duration_seconds: float | None
    skipped: int = 0
    """Lines below the heading that are not rows."""


def head(line: str) -> list[str] | None:
    """The columns of a heading line, in its order; `None` for any other line."""
    words = _bare(line).split()
    return words if len(words) == len(COLUMNS) and set(words) == COLUMNS else None


def _bare(line: str) -> str:
    """A line without the characters of a quotation or a markdown table."""
    line = line.strip(" \t>`*")
    return line.replace("|", " ").strip() if line.startswith("|") else line


def is_table(lines: Sequence[str]) -> bool:
    """Whether a text has such a table in it."""
    return any(map(head, lines))


def read(lines: Sequence[str]) -> Table:
    """The table in a text, wherever it begins.

    Raises `InputError`. Source: google/pprof, internal/report, `printText` and `reportLabels`.
    """
    at = next(index for index, line in enumerate(lines) if head(line))
    columns = head(lines[at]) or []
    rows: list[Row] = []
    shares: list[tuple[int, float]] = []
    skipped = 0
    unit = ""
    for line in map(_bare, lines[at + 1 :]):
        words = line.split(None, len(columns))
        cells = dict(zip(columns, words, strict=False))
        flat, cum = _value(cells.get("flat", "")), _value(cells.get("cum", ""))
        if len(words) > len(columns) and flat is not None and cum is not None:
            unit = max(unit, flat[1], cum[1], key=_known)
            rows.append(_row(words[-1], flat[0], cum[0]))
            if _PERCENT.match(cells["cum%"]):
                shares.append((cum[0], float(cells["cum%"][:-1])))
        elif len(words) == 1 and rows and _BROKEN.fullmatch(line):
            # A terminal or a mail program broke the line within the name.
            between = " " if words[0].endswith("inline)") else ""
            rows[-1] = _row(f"{rows[-1].function}{between}{words[0]}", rows[-1].flat, rows[-1].cum)
        elif words and not _RULE.fullmatch(line):
            skipped += 1
        if len(rows) > MOST_ROWS:
            raise InputError(f"more than {MOST_ROWS:,} lines in the table, which is refused")
    heading = list(map(_bare, lines[:at]))
    if not rows and not _is_empty(heading):
        raise InputError("a table of pprof -top without any function", f"line {at + 2}")
    return _table(rows, shares, unit or "count", heading)._replace(skipped=skipped)


def _is_empty(heading: list[str]) -> bool:
    """Whether the heading says that there were no samples."""
    showing = _SHOWING.search("\n".join(heading))
    return showing is not None and showing.group(3) == "0"


def _row(name: str, flat: int, cum: int) -> Row:
    inline = _INLINE.search(name)
    return Row(name[: inline.start()] if inline else name, flat, cum, inline.group(1) if inline else "")


def _table(rows: list[Row], shares: list[tuple[int, float]], unit: str, heading: list[str]) -> Table:
    text = "\n".join(heading)
    showing, dropped, duration, kind = (pattern.search(text) for pattern in (_SHOWING, _DROPPED, _DURATION, _TYPE))
    total = _value(showing.group(3)) if showing else None
    limit = _value(dropped.group(2)) if dropped else None
    seconds = _value(duration.group(1)) if duration else None
    cum, share = max(shares, default=(max((row.cum for row in rows), default=0), 100.0))
    estimate = min(LARGEST, round(cum * 100 / share)) if share >= 0.01 else cum
    if seconds and not rows:
        unit = "nanoseconds"
    top = Top(
        rows,
        total[0] if total else estimate,
        unit,
        [line for line in heading if line],
        int(dropped.group(1)) if dropped else 0,
        limit[0] if limit else 0,
        SMALLEST,
    )
    sample_type = kind.group(1) if kind else "cpu" if unit == "nanoseconds" else ""
    return Table(top, sample_type, seconds[0] / 1e9 if seconds and seconds[1] == "nanoseconds" else None)


def _value(text: str) -> tuple[int, str] | None:
    """A value in the smallest unit of its family, and that unit, empty for a bare number."""
    value = _VALUE.match(text)
    if not value or value.group(2) not in _UNITS:
        return None
    factor, unit = _UNITS[value.group(2)]
    whole, _, decimals = value.group(1).partition(".")
    scaled = int(whole + decimals) * factor // 10 ** len(decimals)
    return None if abs(scaled) > LARGEST else (scaled, unit if value.group(2) else "")


def _known(unit: str) -> bool:
    return unit not in ("", "count")
