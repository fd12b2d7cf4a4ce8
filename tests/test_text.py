"""Counts, times and foreign text for people."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import numbers, suggest, text


@given(st.integers(min_value=0, max_value=1 << 20_000))
def test_digits_are_those_of_the_number(number: int) -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert numbers.digits(number) == str(number)
    finally:
        sys.set_int_max_str_digits(limit)


def test_digits_of_a_power_of_ten() -> None:
    assert numbers.digits(10**200_000) == "1" + "0" * 200_000


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (538_447, "538,447"),
        (6_291_434, "6.29 million"),
        (999_999_999, "1 thousand million"),
        (1_610_612_706, "1.61 thousand million"),
        (10**12, "1.00 × 10¹²"),
        (9_999_999_999_999, "1.00 × 10¹³"),
        (8 * 10**400, "8.00 × 10⁴⁰⁰"),
    ],
)
def test_count(number: int, words: str) -> None:
    assert numbers.count(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "at once"),
        (1.1, "about 1.1 seconds"),
        (282.0, "about 4.7 minutes"),
        (59.9, "about 1 minute"),
        (7200.0, "about 2 hours"),
        (86400.0 * 40, "about 40 days"),
        (1e12, "practically never (31,688 years)"),
        (None, "practically never"),
    ],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert numbers.duration(seconds) == words


def test_time_range_names_a_shared_unit_once() -> None:
    assert numbers.time_range(228.0, 660.0) == "about 3.8 to 11 minutes"
    assert numbers.time_range(30.0, 660.0) == "about 30 seconds to 11 minutes"
    assert numbers.time_range(0.0, 0.1) == "at once"
    assert numbers.time_range(1e15, None) == numbers.duration(1e15)


@given(st.text())
def test_printable_leaves_nothing_that_steers(foreign: str) -> None:
    shown = text.printable(foreign)
    assert shown.isprintable() or all(letter.isprintable() or letter.isspace() for letter in shown)
    assert not set(shown) & {"\x1b", "\n", "\r", "\x9b", "\u202e", "\u2028", "\u2066", "\u200b"}


def test_printable_keeps_letters() -> None:
    assert text.printable("RUN echo grüße 漢字 [bold]") == "RUN echo grüße 漢字 [bold]"


@pytest.mark.parametrize("value", [0, 7, 10**3999, 10**4000, 10**8000 - 1, 3 * 2**100_000 + 1], ids=int.bit_length)
def test_digits_and_numbers_are_inverse(value: int) -> None:
    assert numbers.number(numbers.digits(value)) == value


def test_numbers_may_have_zeros_in_front() -> None:
    assert numbers.number("0" * 9000 + "12") == 12


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("max_second", ["max-calls", "max-seconds"], "max-seconds"),
        ("CD205", ["CD105", "CD201"], "CD201"),
        ("", ["a", "b"], "a"),
    ],
)
def test_the_nearest_word(word: str, known: list[str], expected: str) -> None:
    assert suggest.nearest(word, known) == expected


def test_a_source_without_its_digest() -> None:
    assert text.unpinned(f"docker://h:5000/app:x@sha256:{'a' * 64}") == "docker://h:5000/app:x"
    for plain in ("docker://h/app:x", "user@host.json", "@sha256:abc", ""):
        assert text.unpinned(plain) == plain


def test_a_word_that_is_near_none_gets_all_of_them() -> None:
    assert suggest.meant("max_second", ["max-calls", "max-seconds"]) == "did you mean max-seconds?"
    assert suggest.meant("foo", ["format", "names"]) == "expected one of format, names"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("::error::x", ": :error::x"),
        ("a\n \t::error::x", "a\n \t: :error::x"),
        ("a ##[error]b", "a ## [error]b"),
        ("###[error]", "### [error]"),
        ("a::b #[c] ## d", "a::b #[c] ## d"),
    ],
)
def test_inert_text_has_no_commands(given: str, expected: str) -> None:
    assert text.inert(given) == expected


def test_a_long_word_is_compared_by_its_beginning() -> None:
    assert suggest.meant("max-second" + "s" * 1_000_000, ["max-calls", "max-seconds"]).startswith("expected one of")
    assert suggest.nearest("max-second" * 100_000, ["tag", "max-seconds"]) == "max-seconds"


@pytest.mark.parametrize(
    ("given", "most", "expected"),
    [("abcdefghi", 9, "abcdefghi"), ("abcdefghij", 9, "abc...hij"), ("", 9, ""), ("x" * 10**6, 7, "xx...xx")],
)
def test_cut(given: str, most: int, expected: str) -> None:
    assert text.cut(given, most) == expected
