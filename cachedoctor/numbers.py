"""Counts and durations as a person reads them, and integers of any size as decimal digits."""

from __future__ import annotations

import math
from collections.abc import Sequence

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_CHUNK_BITS = 4096
_SCALES = ((10**6, "million"), (10**9, "billion"), (10**12, "trillion"))
"""Counts past the last of them are shown as a power of ten."""

YEAR = 365.25 * 86400.0
"""Seconds of a year: what takes longer would not finish."""
_UNITS = ((86400.0, "day"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def digits(number: int) -> str:
    """All decimal digits of a natural number, however large, in less than quadratic time.

    Python's own `str` is quadratic and refuses more than 4300 digits (CPython 3.11, `sys.set_int_max_str_digits`).
    """
    if number.bit_length() <= _CHUNK_BITS:
        return str(number)
    from decimal import MAX_PREC, Context, Decimal

    exact = Context(prec=MAX_PREC, Emax=999_999_999_999_999_999, traps=[])
    size = _CHUNK_BITS // 8
    data = number.to_bytes((number.bit_length() + 7) // 8, "little")
    parts = [Decimal(int.from_bytes(data[start : start + size], "little")) for start in range(0, len(data), size)]
    base = Decimal(1 << _CHUNK_BITS)
    while len(parts) > 1:
        if len(parts) % 2:
            parts.append(Decimal(0))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [exact.add(low, exact.multiply(high, base)) for low, high in pairs]
        base = exact.multiply(base, base)
    return f"{parts[0]:f}"


def number(text: str) -> int:
    """The natural number with these decimal digits, however many: the inverse of `digits`."""
    size = 4000
    parts = [int(text[max(0, end - size) : end]) for end in range(len(text), 0, -size)]
    base = 10**size
    while len(parts) > 1:
        parts += [0] * (len(parts) % 2)
        parts = [low + high * base for low, high in zip(parts[::2], parts[1::2], strict=True)]
        base *= base
    return parts[0]


def log10(number: int) -> float | None:
    """The decimal logarithm of a natural number of any size, `None` for zero."""
    return math.log10(number) if number else None


def count(number: int) -> str:
    """A count in words: `538,447`, `6.3 million`, `1.6 billion`, `10³⁴`."""
    if number < 1_000_000:
        return f"{number:,}"
    for scale, name in _SCALES:
        # 999.7 million is 1 billion, not 1,000 million.
        if number < scale * 999.5:
            return f"{_short(max(1.0, number / scale))} {name}"
    return f"10{str(round(math.log10(number))).translate(_SUPERSCRIPT)}"


def plural(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `1.2 million records`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def percent(share: float) -> str:
    """A share of a whole: `99.9%`, and `100%` only for all of it."""
    text = f"{share:.1%}"
    if text == "100.0%":
        return "100%" if share >= 1 else ">99.9%"
    return text


def duration(seconds: float | None) -> str:
    """An estimated time: `under 1 s`, `about 1.1 s`, `about 5 min`, `would not finish`; `None` is past any float."""
    if seconds is None:
        return "would not finish"
    if seconds < 1:
        return "under 1 s"
    if seconds > YEAR:
        return f"would not finish (about {plural(_rounded(seconds / YEAR), 'year')})"
    return f"about {elapsed(seconds)}"


def taking(seconds: float | None) -> str:
    """A time to put behind a count: ` (about 5 min)`, ` (would not finish: about 3,900 years)`."""
    return f" ({duration(seconds).replace(' (', ': ').rstrip(')')})"


def count_range(fewest: int, most: int) -> str:
    """`10 billion to 19 billion`, or one number if both look the same."""
    low, high = count(fewest), count(most)
    return low if low == high else f"{low} to {high}"


def elapsed(seconds: float) -> str:
    """A measured time: `12 s`, `40 min`, `1.5 h`, `3 days`."""
    if seconds < 1:
        return "under 1 s"
    size, name = next(unit for unit in _UNITS if seconds >= unit[0] * 0.95)
    text = _short(max(1.0, seconds / size))
    return f"{text} {name}{'s' if name == 'day' and text != '1' else ''}"


def time_range(least: float | None, most: float | None) -> str:
    """A range of estimated times: `about 3.8 to 11 min`, `under 1 s to about 2 s`."""
    low, high = duration(least), duration(most)
    if low == high or (low.startswith("would not") and most is None):
        return low
    if low.startswith("would not"):
        return f"{low.rpartition(' ')[0]} to {high.partition('about ')[2]}"
    if high.startswith("would not"):
        return f"{low}, or it {high}"
    amount, _, unit = low.rpartition(" ")
    if low.startswith("about") and unit.rstrip("s") == high.rpartition(" ")[2].rstrip("s"):
        low = amount
    return f"{low} to {high.removeprefix('about ')}" if low.startswith("about") else f"{low} to {high}"


def _short(amount: float) -> str:
    """Two digits below ten, whole numbers above."""
    text = f"{amount:.1f}" if amount < 9.95 else f"{amount:,.0f}"
    return text.removesuffix(".0")


def _rounded(amount: float) -> int:
    """A whole number with two significant digits, so that an estimate does not look exact."""
    whole = int(amount)
    size: int = 10 ** max(0, len(digits(whole)) - 2)
    return max(1, (whole + size // 2) // size * size)
