"""Values, units and percentages as pprof prints them (google/pprof, internal/measurement)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class _Family(NamedTuple):
    """Units that convert into each other, smallest first."""

    factors: Mapping[str, float]
    aliases: Mapping[str, str]
    usual: str

    def find(self, unit: str) -> str | None:
        name = unit.lower()
        return self.aliases.get(name.removesuffix("s") if len(name) > 2 else name)


_BYTES = _Family(
    {"B": 1.0, "kB": 2.0**10, "MB": 2.0**20, "GB": 2.0**30, "TB": 2.0**40, "PB": 2.0**50},
    {
        alias: unit
        for unit, aliases in (
            ("B", ("b", "byte")),
            ("kB", ("kb", "kbyte", "kilobyte")),
            ("MB", ("mb", "mbyte", "megabyte")),
            ("GB", ("gb", "gbyte", "gigabyte")),
            ("TB", ("tb", "tbyte", "terabyte")),
            ("PB", ("pb", "pbyte", "petabyte")),
        )
        for alias in aliases
    },
    "B",
)
_TIMES = _Family(
    {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9, "hrs": 3.6e12},
    {
        alias: unit
        for unit, aliases in (
            ("ns", ("ns", "nanosecond")),
            ("us", ("μs", "us", "microsecond")),
            ("ms", ("ms", "millisecond")),
            ("s", ("s", "sec", "second")),
            ("hrs", ("hour", "hr")),
        )
        for alias in aliases
    },
    "s",
)
_FAMILIES = (_BYTES, _TIMES)
_NOT_SHOWN = frozenset({"count", "sample", "unit", "minimum", "auto"})

SMALLEST = "minimum"
"""Instead of a unit: the largest one in which the value is at least one."""


def scale(value: int, unit: str, to: str) -> tuple[float, str]:
    """A value in another unit, and the name of that unit, empty if it is not shown (as for counts)."""
    if value < 0:
        scaled, name = scale(-value, unit, to)
        return -scaled, name
    for family in _FAMILIES:
        known = family.find(unit)
        if known is None:
            continue
        base = value * family.factors[known]
        name = _largest(family, base) if to in ("minimum", "auto") else family.find(to) or family.usual
        return base / family.factors[name], name
    return float(value), "" if to in _NOT_SHOWN else to


def _largest(family: _Family, base: float) -> str:
    fitting = [name for name, factor in family.factors.items() if base / factor >= 1.0]
    return fitting[-1] if fitting else family.usual


def label(value: int, unit: str, to: str = SMALLEST) -> str:
    """A value with its unit: `1.50s`, `512.05kB`, `46`."""
    scaled, name = scale(value, unit, to)
    text = f"{scaled:.2f}".removesuffix(".00")
    return "0" if text in ("0", "-0") else text + name


def percentage(value: int, total: int) -> str:
    """A share of the total in six columns, without its sign: ` 8.01%`, `  100%`, ` 0.6%`."""
    ratio = abs(value / total) * 100 if total else 0.0
    if 99.95 <= ratio <= 100.05:
        return "  100%"
    return f"{ratio:5.2f}%" if ratio >= 1.0 else f"{ratio:5.2g}%"


def common(smallest: int, largest: int, unit: str) -> str:
    """The unit for a whole table, from its smallest and its largest value (pprof, `selectOutputUnit`)."""
    low = scale(smallest, unit, SMALLEST)[1]
    high = scale(largest, unit, SMALLEST)[1]
    if low != high and smallest * 100 < largest:
        low = scale(100 * smallest, unit, SMALLEST)[1]
    return low or unit
