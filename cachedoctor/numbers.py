"""Counts and durations as a person reads them, and integers of any size as digits."""

from __future__ import annotations

import math
from decimal import MAX_PREC, Context, Decimal

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

_CHUNK_BITS = 4096


def digits(number: int) -> str:
    """All decimal digits of a natural number, however large, in less than quadratic time.

    Python's own `str` is quadratic and refuses more than 4300 digits (CPython 3.11, `sys.set_int_max_str_digits`).
    """
    if number.bit_length() <= _CHUNK_BITS:
        return str(number)
    exact = Context(prec=MAX_PREC, Emax=999_999_999_999_999_999, traps=[])
    size = _CHUNK_BITS // 8
    data = number.to_bytes((number.bit_length() + 7) // 8, "little")
    parts = [Decimal(int.from_bytes(data[at : at + size], "little")) for at in range(0, len(data), size)]
    base = Decimal(1 << _CHUNK_BITS)
    while len(parts) > 1:
        if len(parts) % 2:
            parts.append(Decimal(0))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [exact.add(low, exact.multiply(high, base)) for low, high in pairs]
        base = exact.multiply(base, base)
    return f"{parts[0]:f}"


def number(text: str) -> int:
    """The natural number of these decimal digits, however many: the inverse of `digits`."""
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
    """A count in words: `538,447`, `6.29 million`, `1.61 thousand million`, `1.06 × 10³⁴`."""
    if number < 1_000_000:
        return f"{number:,}"
    for unit, name in ((10**6, "million"), (10**9, "thousand million")):
        if number < unit * 1000 - unit // 200:
            return f"{number / unit:.3g} {name}"
    return power(number)


def power(number: int) -> str:
    """A count for a narrow column: `538,447`, `6.29 × 10⁶`, `1.06 × 10³⁴`."""
    if number < 1_000_000:
        return f"{number:,}"
    exponent = math.floor(math.log10(number))
    mantissa = 10 ** (math.log10(number) - exponent)
    if f"{mantissa:.2f}" == "10.00":
        exponent, mantissa = exponent + 1, 1.0
    return f"{mantissa:.2f} × 10{str(exponent).translate(_SUPERSCRIPT)}"


def plural(number: int, noun: str) -> str:
    """`1 record`, `2 records`, `1.2 million records`."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


_UNITS = ((365.25 * 86400, "year"), (86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))

NEVER = 1000 * 365.25 * 86400
"""Seconds that nobody waits for."""


def duration(seconds: float | None) -> str:
    """A time in words: `at once`, `1.1 seconds`, `about 5 minutes`; `None` is past any."""
    if seconds is None:
        return "practically never"
    if seconds < 0.5:
        return "at once"
    if seconds > NEVER:
        return f"practically never ({power(int(seconds / _UNITS[0][0]))} years)"
    for size, name in _UNITS:
        if seconds >= size * 0.95:
            return f"about {_amount(seconds / size, name)}"
    return f"{seconds:.1f} seconds"


def time_range(least: float | None, most: float | None) -> str:
    """A range of times in words: `about 3.8 to 11 minutes`."""
    low, high = duration(least), duration(most)
    if low == high or (low.startswith("practically") and high.startswith("practically")):
        return low
    amount, _, unit = low.rpartition(" ")
    if unit == high.rpartition(" ")[2]:
        low = amount
    return f"{low} to {high.removeprefix('about ')}"


def _amount(amount: float, name: str) -> str:
    if amount >= 1e6:
        return f"{count(int(amount))} {name}s"
    text = f"{amount:.1f}" if amount < 9.5 else f"{amount:,.0f}"
    text = text.removesuffix(".0")
    return f"{text} {name}" if text == "1" else f"{text} {name}s"
