"""Times as Go reads them, and their order."""

from __future__ import annotations

import pytest

from cachedoctor.cacheconfig.times import are_times, is_time

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
def test_times(text: str) -> None:
    assert is_time(text)
    assert are_times([text, ""])


@pytest.mark.parametrize("text", NOT_TIMES)
def test_what_is_not_a_time(text: str) -> None:
    assert not is_time(text)
    assert not are_times([*TIMES, text])


def test_an_absent_time_is_not_a_time_but_may_be_among_them() -> None:
    assert not is_time("")
    assert are_times([])
    assert are_times(["", *TIMES])
