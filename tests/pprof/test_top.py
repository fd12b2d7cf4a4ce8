"""The table, side by side with the one of `go tool pprof`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.top import top
from tests.pprof.goldens import TABLES, Golden, captures, randoms, text_by_go
from tests.pprof.profiles import KINDS, Builder, kept_in

GOLDENS = [*captures(), *randoms()]


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    with in_zone("UTC"):
        yield


@contextmanager
def in_zone(zone: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


def name(golden: Golden) -> str:
    return f"{golden.file} {golden.head}"


@pytest.mark.parametrize("golden", GOLDENS, ids=name)
@pytest.mark.parametrize("kind", KINDS)
def test_table_is_that_of_go_tool_pprof(golden: Golden, kind: str) -> None:
    with kept_in(kind):
        profile = decode(golden.data)
    assert top(profile, golden.sort, golden.count, golden.focus).lines() == golden.lines()


@pytest.mark.slow
def test_kept_tables_are_what_go_tool_pprof_prints_now() -> None:
    """If not, `python -m tests.pprof.goldens` writes them again."""
    assert text_by_go(GOLDENS) == {file.stem: file.read_text(encoding="utf-8") for file in TABLES.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_function_that_occurs_more_than_once_in_a_stack_counts_once(kind: str) -> None:
    builder = Builder(("cpu", "nanoseconds"))
    for number in range(3000):
        builder.sample([f"f{number}", "main.main", "main.main"], number + 1)
    with kept_in(kind):
        rows = {row.function: row for row in top(builder.profile(), "flat").rows}
    assert rows["main.main"].cum == 3000 * 3001 // 2
    assert rows["main.main"].flat == 0


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("CET-1", "Time: 2026-11-24 09:17:10 CET"),
        # A zone that Go does not know.
        ("XYZ24", "Time: 2026-11-24 08:17:10 UTC"),
    ],
)
def test_time_is_in_the_zone_of_the_reader(zone: str, shown: str) -> None:
    profile = decode(next(golden for golden in captures() if golden.file == "cpu-stuck").data)
    with in_zone(zone):
        assert shown in top(profile).lines()


@pytest.mark.parametrize(
    ("nanos", "shown"), [(2**63 - 1, "Time: 2262-04-11 23:47:16 UTC"), (-(2**63), "Time: 1677-09-21 00:12:43 UTC")]
)
def test_earliest_and_latest_time(nanos: int, shown: str) -> None:
    builder = Builder()
    builder.sample(["main.main"], 1, 1)
    builder.proto.time_nanos = nanos
    assert shown in top(builder.profile(), "cum").lines()


def test_long_focus_is_cut_off_in_the_heading() -> None:
    builder = Builder()
    builder.sample(["main.main"], 1, 1)
    assert f"   focus={'m' * 74}…" in top(builder.profile(), focus="m" * 75 + "|main").lines()
