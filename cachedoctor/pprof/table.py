"""The text that `go tool pprof -top` prints, as people paste it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from cachedoctor.errors import InputError
from cachedoctor.pprof.top import Row, Top
from cachedoctor.pprof.units import SMALLEST

COLUMNS = frozenset({"flat", "flat%", "sum%", "cum", "cum%"})
_USUAL = ("flat", "flat%", "sum%", "cum", "cum%", "name")
_NAMES = frozenset({"name", "function", "functions", "symbol"})
_OTHERS = frozenset({"inlined?", "inline?", "inline", "calls", "calls%", "+", "context"})
MOST_ROWS = 1_000_000
LARGEST = 2**63 - 1
"""The largest value, as in a profile itself."""

_NUMBER = r"-?\d{1,15}(?:\.\d{1,9})?[a-zA-Zμµ]{0,5}"
_SHARE = r"-?\d{1,9}(?:\.\d{1,9})?(?:e[-+]\d{1,3})?%"
_VALUE = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)([a-zA-Zμµ]{0,5})$")
_PERCENT = re.compile(rf"{_SHARE}$")
_ROW = re.compile(rf"[\s|>]*{_NUMBER}[\s|]+{_SHARE}[\s|]+{_SHARE}[\s|]+{_NUMBER}[\s|]+{_SHARE}[\s|]+\S")
_CONTEXT = re.compile(rf"({_NUMBER})\s+{_SHARE}\s+\|\s+(\S.*)$")
_ROUTINE = re.compile(r"ROUTINE =+ (\S.*?) in ")
_OF_ROUTINE = re.compile(rf"({_NUMBER})\s+({_NUMBER}) \(flat, cum\)\s+{_SHARE} of Total")
_SOURCE = re.compile(rf"(?:{_NUMBER}|\.)\s+(?:{_NUMBER}|\.)\s+\d+:")
_SHOWING = re.compile(r"Showing nodes accounting for (\S+), +(\S+)% of (\S+) total|(\S+) of (\S+) total \(")
_TOTAL = re.compile(r"Total: (\S+)( samples)?$", re.MULTILINE)
_DROPPED = re.compile(r"Dropped (\d{1,9}) nodes? \(cum <= ([^)\s]+)\)")
_DURATION = re.compile(r"Duration: ([^,\s]+),")
_TYPE = re.compile(r"Type: (\S+)")
_BROKEN = re.compile(r"(?!\(pprof\))[\w.*(\[/][^\s$%#>]*[./)\]][^\s$%#>]*|\((partial-)?inline\)")
_RULE = re.compile(r"[-:|+\s]+")
_INLINE = re.compile(r"\s+\((inline|partial-inline)\)$")

MARKS = re.compile(
    rf"[ \t|]*flat[ \t|]+flat%[ \t|]+sum%|{_ROW.pattern}|[ \t]*Showing nodes accounting for \S|Type: \w+$"
    rf"|[ \t]+{_NUMBER}\s+{_SHARE}\s+\|\s+\S|ROUTINE ====",
    re.IGNORECASE,
)
"""How lines of a table begin: what a prefix is learned from."""

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
    """The columns of a heading line, in its order, `name` among them; `None` for any other line."""
    if "lat" not in line and "LAT" not in line:
        return None
    words = ["name" if word in _NAMES else word for word in _bare(line).lower().split()]
    kinds = set(words)
    if not {"flat", "cum"} <= kinds or not kinds <= COLUMNS | _OTHERS | {"name"} or len(kinds) < len(words):
        return None
    columns = [word for word in words if word not in _OTHERS]
    return columns if "name" in columns else [*columns, "name"]


def _bare(line: str) -> str:
    """A line without the characters of a quotation or a markdown table."""
    line = line.strip(" \t>`*")
    return line.replace("|", " ").replace("`", "").strip() if line.startswith("|") else line


def is_table(lines: Sequence[str]) -> bool:
    """Whether a text has such a table in it."""
    return _first(lines) is not None


def _first(lines: Sequence[str]) -> int | None:
    """The line with which a table begins: its heading, or if that was not pasted, the first of its rows."""
    found = next((at for at, line in enumerate(lines) if head(line) or _ROUTINE.match(line)), None)
    if found is None:
        rows = list(islice((at for at, line in enumerate(lines) if "%" in line and _ROW.match(line)), 2))
        found = rows[0] if len(rows) == 2 else None
    return found


def read(lines: Sequence[str]) -> Table:
    """The tables in a text, wherever they begin: of -top, -tree, -peek or -list, and the one of the web page.

    Raises `InputError`. Source: google/pprof, internal/report, `printText`, `printTree`, `printSource` and
    `reportLabels`.
    """
    at = _first(lines) or 0
    reader = _Reader()
    for line in map(_bare, lines[at:]):
        reader.line(line)
    heading = list(map(_bare, lines[:at]))
    rows = reader.all_rows()
    if not rows and not _is_empty(heading):
        raise InputError("a table of pprof -top without any function", f"line {at + 2}")
    return _table(rows, reader.shares, reader.unit or "count", heading)._replace(skipped=reader.skipped)


class _Reader:
    """Reads the lines of tables, one after the other."""

    def __init__(self) -> None:
        self.columns: Sequence[str] = _USUAL
        self.rows: list[Row] = []
        self.shares: list[tuple[int, float]] = []
        self.skipped = 0
        self.unit = ""
        self.known: set[str] = set()
        """The functions read so far."""
        self.tables = 0
        """Each table of one profile has the same values: from the second one on, only other functions count."""
        self.context: dict[str, int] = {}
        """Callers and callees, each with the largest value of a call."""
        self.routine = ""
        self.adjacent = False
        """Whether the line above belongs to a table."""

    def line(self, line: str) -> None:
        """Read a line."""
        columns = head(line)
        if columns:
            self.columns = columns
            self.tables += 1
        elif (found := _CONTEXT.match(line)) and (value := value_of(found[1])):
            self.unit = max(self.unit, value[1], key=_known)
            name = _row(found[2], 0, 0).function
            self.context[name] = max(value[0], self.context.get(name, 0))
        elif found := _ROUTINE.match(line):
            self.routine = found[1]
            self.tables += 1 + bool(self.rows)
        elif self.routine and (found := _OF_ROUTINE.match(line)):
            self._add(self.routine, value_of(found[1]), value_of(found[2]), line.split()[4])
        elif not (self.routine and _SOURCE.match(line)) and not self._row(line):
            self._other(line)
        if len(self.rows) + len(self.context) > MOST_ROWS:
            raise InputError(f"more than {MOST_ROWS:,} lines in the table, which is refused")
        self.adjacent = bool(line and self.rows)

    def _row(self, line: str) -> bool:
        numbers = len(self.columns) - 1
        words = line.rsplit(None, numbers) if self.columns[0] == "name" else line.split(None, numbers)
        cells = dict(zip(self.columns, words, strict=False))
        flat, cum = value_of(cells.get("flat", "")), value_of(cells.get("cum", ""))
        if len(words) <= numbers or flat is None or cum is None:
            return False
        self._add(cells["name"].removeprefix("| "), flat, cum, cells.get("cum%", ""))
        return True

    def _add(self, name: str, flat: tuple[int, str] | None, cum: tuple[int, str] | None, share: str) -> None:
        if flat is None or cum is None:
            return
        row = _row(name, flat[0], cum[0])
        if self.tables > 1 and row.function in self.known:
            return
        self.known.add(row.function)
        self.unit = max(self.unit, flat[1], cum[1], key=_known)
        self.rows.append(row)
        if _PERCENT.match(share):
            self.shares.append((cum[0], float(share[:-1])))

    def _other(self, line: str) -> None:
        words = line.split()
        if len(words) == 1 and self.adjacent and _BROKEN.fullmatch(line):
            # A terminal or a mail program broke the line within the name.
            between = " " if words[0].endswith("inline)") else ""
            last = self.rows[-1]
            self.rows[-1] = _row(f"{last.function}{between}{words[0]}", last.flat, last.cum)
        elif words and self.adjacent and not _RULE.fullmatch(line) and not _is_heading(line):
            self.skipped += 1

    def all_rows(self) -> list[Row]:
        """The rows, and after them callers and callees that have none."""
        return self.rows + [Row(name, 0, cum, "") for name, cum in self.context.items() if name not in self.known]


def _is_heading(line: str) -> bool:
    """Whether it is what pprof prints above a table, as above the second one in a text."""
    return any(pattern.match(line) for pattern in (_SHOWING, _DROPPED, _DURATION, _TYPE, _TOTAL)) or line.startswith(
        ("Showing top ", "File: ", "Time: ", "Build ID: ")
    )


def _is_empty(heading: list[str]) -> bool:
    """Whether the heading says that there were no samples."""
    showing = _SHOWING.search("\n".join(heading))
    return showing is not None and _total_of(showing) == "0"


def _total_of(showing: re.Match[str]) -> str:
    return showing.group(3) or showing.group(5)


def _row(name: str, flat: int, cum: int) -> Row:
    inline = _INLINE.search(name)
    return Row(name[: inline.start()] if inline else name, flat, cum, inline.group(1) if inline else "")


def _table(rows: list[Row], shares: list[tuple[int, float]], unit: str, heading: list[str]) -> Table:
    text = "\n".join(heading)
    showing, dropped, duration, kind = (pattern.search(text) for pattern in (_SHOWING, _DROPPED, _DURATION, _TYPE))
    whole = _TOTAL.search(text)
    total = value_of(_total_of(showing)) if showing else value_of(whole.group(1)) if whole else None
    limit = value_of(dropped.group(2)) if dropped else None
    seconds = value_of(duration.group(1)) if duration else None
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
    # The first pprof, a Perl script, counted the samples of CPU profiles.
    timed = unit == "nanoseconds" or (whole is not None and whole.group(2) is not None)
    sample_type = kind.group(1) if kind else "cpu" if timed else ""
    return Table(top, sample_type, seconds[0] / 1e9 if seconds and seconds[1] == "nanoseconds" else None)


def value_of(text: str) -> tuple[int, str] | None:
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
