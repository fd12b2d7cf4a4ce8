"""How time is divided among phases."""

from __future__ import annotations

import pytest

from cachedoctor.diagnosis.evidence import load
from cachedoctor.diagnosis.phases import Phase, shares, shares_of_table, widest
from cachedoctor.pprof.table import read
from cachedoctor.pprof.top import top
from tests.diagnosis.examples import CHECK_LOOPS, STACKS, V1
from tests.pprof.profiles import KINDS, Builder, kept_in
from tests.support import FIXTURES


@pytest.mark.parametrize(("stack", "phase"), STACKS)
@pytest.mark.parametrize("kind", KINDS)
def test_moving_bytes_counts_only_if_no_function_has_a_phase(stack: list[str], phase: Phase, kind: str) -> None:
    builder = Builder(("cpu", "nanoseconds"))
    builder.sample(stack, 7)
    with kept_in(kind):
        assert shares(builder.profile()) == {phase: 1.0}


@pytest.mark.parametrize("kind", KINDS)
def test_sample_counts_in_the_phase_nearest_to_its_leaf(kind: str) -> None:
    builder = Builder(("cpu", "nanoseconds"))
    builder.sample(["runtime.memmove", "crypto/sha256.block", "archive/tar.(*Writer).Write"], 3)
    builder.sample(["archive/tar.(*Writer).Write", "crypto/sha256.block"], 5)
    builder.sample(["runtime.gcDrain", CHECK_LOOPS], 1)
    builder.sample(["main.main"], 1)
    builder.sample([], 0)
    with kept_in(kind):
        assert shares(builder.profile()) == {
            Phase.DIFF: 0.5,
            Phase.HASHING: 0.3,
            Phase.GC: 0.1,
            Phase.OTHER: 0.1,
        }


def test_phases_with_equal_shares_are_in_the_order_of_their_definition() -> None:
    builder = Builder(("cpu", "nanoseconds"))
    builder.sample(["runtime.gcDrain"], 1)
    builder.sample([CHECK_LOOPS], 1)
    assert list(shares(builder.profile())) == [Phase.LOOP_CHECK, Phase.GC]


def test_profile_without_samples_has_no_phases() -> None:
    assert shares(Builder().profile()) == {}


@pytest.mark.parametrize("name", ["cpu-stuck", "cpu-compress", "cpu-deep-chain"])
def test_phases_of_a_table_are_near_those_of_its_profile(name: str) -> None:
    profile = load(str(FIXTURES / "profiles" / f"{name}.pprof")).profile
    assert profile
    exact, estimated = shares(profile), shares_of_table(top(profile))
    assert max(exact, key=exact.__getitem__) is max(estimated, key=estimated.__getitem__)
    assert sum(estimated.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(estimated.get(phase, 0.0) == pytest.approx(share, abs=0.04) for phase, share in exact.items())


def test_shares_of_a_table_that_sum_up_to_more_than_the_total() -> None:
    """Merging and marshaling call each other and the loop check: the outer ones get less, merging first."""
    rows = {CHECK_LOOPS: 60, f"{V1}.marshalRemote": 50, f"{V1}.normalizeItem": 30}
    lines = ["Showing nodes accounting for 100, 100% of 100 total", "flat flat% sum% cum cum%"]
    table = read([*lines, *(f"0 0% 0% {cum} {cum}% {name}" for name, cum in rows.items())])
    assert shares_of_table(table.top) == pytest.approx({Phase.LOOP_CHECK: 0.6, Phase.MARSHALLING: 0.4})


def test_function_that_only_calls_other_phases_counts_if_it_is_alone() -> None:
    head, marshal = "flat flat% sum% cum cum%", f"0 0% 0% 90 90% {V1}.(*CacheChains).Marshal"
    alone = read([head, marshal, "5 5% 5% 5 5% runtime.gcDrain"])
    assert {phase: row.cum for phase, row in widest(alone.top).items()} == {Phase.MARSHALLING: 90, Phase.GC: 5}
    both = read([head, marshal, f"0 0% 0% 80 80% {CHECK_LOOPS}"])
    assert {phase: row.cum for phase, row in widest(both.top).items()} == {Phase.LOOP_CHECK: 80}
