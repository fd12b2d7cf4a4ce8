"""From evidence to a diagnosis."""

from __future__ import annotations

import pytest

from cachedoctor.diagnosis.causes.registry import all_causes
from cachedoctor.diagnosis.diagnose import diagnose
from cachedoctor.diagnosis.evidence import load
from cachedoctor.errors import FocusError
from tests.diagnosis.examples import cpu
from tests.pprof.profiles import KINDS, kept_in
from tests.support import FIXTURES

PROFILES = FIXTURES / "profiles"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("cpu-stuck.pprof", "loop-check"),
        ("cpu-deep-chain.pprof", "deep-chains"),
        ("cpu-compress.pprof", "compression"),
        ("goroutine-stuck.pprof", "loop-check"),
        ("goroutine-stuck-debug1.txt", "loop-check"),
        ("goroutine-stuck-debug2.txt", "loop-check"),
        ("issue-6008-top50.txt", "loop-check"),
        ("heap.pprof", "other"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_cause_of_a_capture(name: str, cause: str, kind: str) -> None:
    with kept_in(kind):
        diagnosis = diagnose([load(str(PROFILES / name))])
    assert [finding.cause for finding in diagnosis.findings] == [cause]


@pytest.mark.parametrize(("seconds", "cores"), [(10, 0.9), (None, None), (-1, None)])
def test_cores(seconds: float | None, cores: float | None) -> None:
    assert diagnose([cpu(seconds, check=9000)]).cores == (cores and pytest.approx(cores))


def test_releases_of_the_daemon() -> None:
    diagnosis = diagnose([load(str(PROFILES / "cpu-stuck.pprof"))])
    assert (diagnosis.go_version, diagnosis.buildkit) == ("Go 1.24 or later", "v0.9 to v0.24")
    assert diagnose([cpu(10, add=9000)]).buildkit == "v0.25 or later"


def test_steps_begin_with_what_to_do_now() -> None:
    known, finding = all_causes()["loop-check"], diagnose([cpu(10, check=9000)]).main
    assert finding.help == (*known.now, *known.for_good)


def test_table_can_be_sorted_and_cut() -> None:
    evidence = load(str(PROFILES / "issue-6008-top50.txt"))
    top = diagnose([evidence], sort="flat", count=2).top
    assert [row.function for row in top.rows] == ["runtime.mapiternext", "aeshashbody"]
    assert top.heading[-1] == "Showing 2 of 32 lines of the table"
    assert len(diagnose([evidence], count=32).top.rows) == 32


def test_table_cannot_be_focused() -> None:
    with pytest.raises(FocusError, match="needs the profile itself"):
        diagnose([load(str(PROFILES / "issue-6008-top50.txt"))], focus="x")
