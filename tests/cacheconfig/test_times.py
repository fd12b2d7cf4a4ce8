"""Times as Go reads them, and their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig.document import are_times, instant, is_time

TIMES = [
    "2026-11-24T08:14:45.23117993Z",
    "2026-11-24T08:14:45.123456789Z",
    "2026-11-24T08:14:45.999999999Z",
    "2026-11-24T08:14:45.000000001Z",
    "2026-11-24T08:14:45Z",
    "2026-11-24T08:14:45.5+02:00",
    "0001-01-01T00:00:00Z",
    "2024-02-29T23:59:59.1-11:30",
]
NOT_TIMES = [
    "yesterday",
    "2026-11-24",
    "2026-11-24T08:14:45",
    "2026-11-24 08:14:45Z",
    "2026-11-24T08:14Z",
    "2026-11-24T08:14:45.Z",
    "2026-11-24T08:14:45,5Z",
    "2026-11-24t08:14:45z",
    "2026-11-24T08:14:45+0200",
    " 2026-11-24T08:14:45Z",
    "2026-11-24T08:14:45Z\n",
    "2026-11-24T08:14:45Z\n2026-11-24T08:14:45Z",
    "26-11-24T08:14:45Z",
    pytest.param("\uff12026-11-24T08:14:45Z", id="wide digits"),
    pytest.param("2026-13-24T08:14:45Z", id="month 13"),
    pytest.param("2026-02-29T08:14:45Z", id="not a leap year"),
    pytest.param("2026-11-31T08:14:45Z", id="November 31"),
    pytest.param("2026-11-24T24:14:45Z", id="hour 24"),
    pytest.param("2026-11-24T08:60:45Z", id="minute 60"),
]


@pytest.mark.parametrize("text", TIMES)
def test_valid_times(text: str) -> None:
    assert is_time(text)
    assert are_times([text, ""])


@pytest.mark.parametrize("text", NOT_TIMES)
def test_invalid_times(text: str) -> None:
    assert not is_time(text)
    assert not are_times([*TIMES, text])


def test_an_empty_text_is_not_a_time_but_allowed_among_times() -> None:
    assert not is_time("")
    assert are_times([])
    assert are_times(["", *TIMES])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00.1Z"),
        ("2026-11-24T08:00:00.49Z", "2026-11-24T08:00:00.5Z"),
        ("2026-11-24T08:00:00.123456788Z", "2026-11-24T08:00:00.123456789Z"),
        ("2026-11-24T10:00:00+02:00", "2026-11-24T08:00:01Z"),
        ("", "0001-01-01T00:00:00Z"),
        ("2026-11-24T08:00:00.2+00:00", "2026-11-24T06:00:00.3-02:00"),
    ],
)
def test_times_are_sorted_chronologically(earlier: str, later: str) -> None:
    assert instant(earlier) < instant(later)


@st.composite
def times(draw: st.DrawFn) -> tuple[str, Fraction]:
    """A time as text, in any zone and with any fraction, and its distance from an epoch in seconds."""
    minutes = draw(st.sampled_from([0, 0, 60, -330, 765]))
    whole = draw(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(lambda time: time.replace(microsecond=0)))
    near = datetime(2026, 11, 24, 8) + timedelta(seconds=draw(st.integers(-2, 2)), minutes=minutes)
    local = draw(st.sampled_from([whole, near, near]))
    fraction = draw(st.integers(0, 999_999_999)) // 10 ** draw(st.integers(0, 9))
    digits = f"{fraction:09}".rstrip("0") if draw(st.booleans()) else f"{fraction}".rstrip("0")
    zone = draw(st.sampled_from(["Z", "+00:00"])) if not minutes else f"{'-' if minutes < 0 else '+'}{_clock(minutes)}"
    text = f"{local.isoformat()}{'.' if digits else ''}{digits}{zone}"
    utc = local.replace(tzinfo=timezone(timedelta(minutes=minutes))) - datetime(1, 1, 1, tzinfo=UTC)
    seconds = utc.days * 86_400 + utc.seconds
    return text, Fraction(seconds) + Fraction(int(digits or "0"), 10 ** len(digits))


def _clock(minutes: int) -> str:
    return f"{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@settings(max_examples=600)
@given(times(), times())
def test_times_with_any_zones_and_fractions_are_sorted_chronologically(
    first: tuple[str, Fraction], second: tuple[str, Fraction]
) -> None:
    assert (instant(first[0]) < instant(second[0])) == (first[1] < second[1])
    assert (instant(first[0]) == instant(second[0])) == (first[1] == second[1])


@pytest.mark.parametrize("created", ["0000-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_before_year_1_is_treated_as_absent(created: str) -> None:
    """Go reads it, Python has no such time; neither has a build."""
    assert instant(created) == instant("") < instant("0001-01-01T00:00:00Z")
