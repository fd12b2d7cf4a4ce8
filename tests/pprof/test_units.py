"""Values, units and percentages, as pprof prints them."""

import pytest

from cachedoctor.pprof import units


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "nanoseconds", "0"),
        (999, "nanoseconds", "999ns"),
        (1500, "ns", "1.50us"),
        (14_960_000_000, "nanoseconds", "14.96s"),
        (7_200_000_000_000, "nanosecond", "2hrs"),
        (-3_000_000, "nanoseconds", "-3ms"),
        (524_339, "bytes", "512.05kB"),
        (1 << 60, "byte", "1024PB"),
        (46, "count", "46"),
        (-46, "count", "-46"),
        (5, "widgets", "5"),
        (3, "hrs", "3hrs"),
    ],
)
def test_a_value_has_the_largest_unit_that_it_fills(value: int, unit: str, shown: str) -> None:
    assert units.label(value, unit) == shown


def test_a_value_can_be_told_in_another_unit() -> None:
    assert units.scale(2_500_000_000, "nanoseconds", "ms") == (2500.0, "ms")
    assert units.scale(5, "count", "widgets") == (5.0, "widgets")
    assert units.scale(5, "seconds", "kB") == (5.0, "s")


@pytest.mark.parametrize(
    ("value", "total", "shown"),
    [
        (9996, 10_000, "  100%"),
        (8010, 100_000, " 8.01%"),
        (6, 1000, "  0.6%"),
        (-1, 2, "50.00%"),
        (1, 10**7, "1e-05%"),
        (1, 0, "    0%"),
    ],
)
def test_percentages_have_six_columns(value: int, total: int, shown: str) -> None:
    assert units.percentage(value, total) == shown


@pytest.mark.parametrize(
    ("least", "total", "unit", "common"),
    [
        (10_000_000, 15_000_000_000, "nanoseconds", "s"),
        (900_000_000, 15_000_000_000, "nanoseconds", "ms"),
        (1, 9, "n", "n"),
    ],
)
def test_a_table_has_one_unit(least: int, total: int, unit: str, common: str) -> None:
    assert units.common(least, total, unit) == common
