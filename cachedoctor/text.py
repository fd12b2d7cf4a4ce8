"""Counts, durations and foreign text as a person can read them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from decimal import MAX_PREC, Context, Decimal

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_CHUNK_BITS = 4096
_COMMAND = re.compile(r"^\s*:(?=:)|##(?=\[)", re.MULTILINE)
_NEAR = 0.5
"""The share of letters in common from which one word may be meant by another."""
_LONGEST_WORD = 100
"""Letters of a word that are compared with known ones: that takes quadratic time."""
_PINNED = re.compile(r"@[a-z0-9+._-]+:[0-9a-fA-F]{32,}\Z")


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


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was most probably meant; of several that are as near, one with most in one piece."""
    from difflib import SequenceMatcher

    start = word[:_LONGEST_WORD].lower()

    def alike(one: str) -> tuple[float, int]:
        pair = SequenceMatcher(None, start, one.lower())
        return pair.ratio(), pair.find_longest_match().size

    return max(known, key=alike)


def meant(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest, or all of them where none is near."""
    from difflib import SequenceMatcher

    words = list(known)
    best = nearest(word, words)
    if SequenceMatcher(None, word[:_LONGEST_WORD].lower(), best.lower()).ratio() >= _NEAR:
        return f"did you mean {best}?"
    return f"expected one of {', '.join(words)}"


def printable(text: str) -> str:
    """Text from outside with everything escaped that could steer a terminal or reorder a line.

    Control, format, surrogate, private and unassigned characters and line separators become `\\u{…}`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(letter):x}}}" if unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029" else letter
        for letter in text
    )


def cut(text: str, most: int) -> str:
    """A text of at most so many letters: its beginning and its end, where it has more."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def inert(text: str) -> str:
    """Text in which the runner of GitHub Actions finds no command: no line starts with `::`, and none has `##[`."""
    return _COMMAND.sub(r"\g<0> ", text)


def unpinned(source: str) -> str:
    """A source without the digest that pins it: the same place from run to run."""
    return _PINNED.sub("", source)


def short(digest: str) -> str:
    """A digest as people tell them apart: its first twelve digits."""
    encoded = digest.removeprefix("sha256:")
    return printable(encoded[:12])
