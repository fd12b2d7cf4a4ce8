"""Counts and durations as people read them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import numbers


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


@pytest.mark.parametrize("value", [0, 7, 10**3999, 10**4000, 10**8000 - 1, 3 * 2**100_000 + 1], ids=int.bit_length)
def test_digits_and_number_are_inverse(value: int) -> None:
    assert numbers.number(numbers.digits(value)) == value


def test_a_number_may_have_leading_zeros() -> None:
    assert numbers.number("0" * 9000 + "12") == 12


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (538_447, "538,447"),
        (999_999, "999,999"),
        (1_000_000, "1 million"),
        (6_291_434, "6.3 million"),
        (9_949_999, "9.9 million"),
        (9_999_999, "10 million"),
        (999_499_999, "999 million"),
        (999_999_999, "1 billion"),
        (1_610_612_706, "1.6 billion"),
        (10_600_000_000, "11 billion"),
        (10**12, "1 trillion"),
        (999_499_999_999_999, "999 trillion"),
        (999_999_999_999_999, "10¹⁵"),
        (10**15, "10¹⁵"),
        (4 * 10**16, "10¹⁷"),
        (8 * 10**400, "10⁴⁰¹"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_count(number: int, words: str) -> None:
    assert numbers.count(number) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.0%"), (0.125, "12.5%"), (0.9989, "99.9%"), (0.99999, ">99.9%"), (1.0, "100%")],
)
def test_percent(share: float, words: str) -> None:
    assert numbers.percent(share) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "under 1 s"),
        (0.99, "under 1 s"),
        (1.1, "about 1.1 s"),
        (59.9, "about 1 min"),
        (282.0, "about 4.7 min"),
        (3600.0, "about 1 h"),
        (7200.0, "about 2 h"),
        (86400.0, "about 1 day"),
        (86400.0 * 40, "about 40 days"),
        (numbers.YEAR * 1.5, "would not finish (about 1 year)"),
        (numbers.YEAR * 3894, "would not finish (about 3,900 years)"),
        (1e12, "would not finish (about 32,000 years)"),
        (1e300, "would not finish (about 10²⁹³ years)"),
        (None, "would not finish"),
    ],
)
def test_duration(seconds: float | None, words: str) -> None:
    assert numbers.duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), [(2471.3, "41 min"), (12.0, "12 s"), (86400.0 * 3, "3 days")])
def test_elapsed(seconds: float, words: str) -> None:
    assert numbers.elapsed(seconds) == words


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (228.0, 660.0, "about 3.8 to 11 min"),
        (30.0, 660.0, "about 30 s to 11 min"),
        (86400.0, 86400.0 * 3, "about 1 to 3 days"),
        (0.0, 0.1, "under 1 s"),
        (0.0, 2.0, "under 1 s to about 2 s"),
        (600.0, 1e12, "about 10 min, or it would not finish (about 32,000 years)"),
        (1e15, None, "would not finish (about 32 million years)"),
    ],
)
def test_time_range(least: float, most: float | None, words: str) -> None:
    assert numbers.time_range(least, most) == words
