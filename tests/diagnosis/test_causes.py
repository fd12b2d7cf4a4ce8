"""The causes: what each file declares, and which of them a stack shows."""

from __future__ import annotations

import re

import pytest

from cachedoctor.diagnosis.causes.registry import GRAPH_PHASES, all_causes, cause_of_phase, doing, modules
from cachedoctor.diagnosis.phases import WORDS, Phase

OUTCOMES = {"ends", "never", "dead", "unknown"}
CONTRACT = (
    "loop-check deep-chains re-add normalize compression diff hashing push lock gc other crash deadlock limit "
    "step-running session client provenance solver blob-variants memory"
)
"""The names that the contract of the command line has."""


def test_every_cause_of_the_contract_has_a_file() -> None:
    assert set(all_causes()) == set(CONTRACT.split())
    assert next(iter(all_causes())) == "crash"
    assert list(all_causes())[-1] == "other"
    for name, file in modules().items():
        assert file.__name__.rpartition(".")[2] == name.replace("-", "_")


@pytest.mark.parametrize("name", CONTRACT.split())
def test_every_cause_is_described(name: str) -> None:
    cause = all_causes()[name]
    assert all((cause.title, cause.affects, cause.ends, cause.now, cause.for_good))
    assert cause.outcome in OUTCOMES
    assert not cause.title.endswith(".")
    summary, _, about = (modules()[name].__doc__ or "").partition("\n\n")
    assert summary.endswith(".")
    assert about.startswith("**How it is found.**")
    for signature in cause.signatures:
        re.compile(signature.function)
        assert signature.doing


def test_every_phase_has_words_and_at_most_one_cause() -> None:
    assert set(WORDS) == set(Phase)
    phases = [cause.phase for cause in all_causes().values() if cause.phase]
    assert len(phases) == len(set(phases))
    without = {phase for phase in Phase if cause_of_phase(phase) is None}
    assert without == {Phase.DATABASE, Phase.UNPACKING, Phase.OTHER}


def test_what_holds_others_is_work_on_cache_keys() -> None:
    assert all(cause.graph_work for cause in all_causes().values() if cause.holds_others)
    assert {cause.phase for cause in all_causes().values() if cause.graph_work and cause.phase} == GRAPH_PHASES


LOCK = "sync.(*Mutex).lockSlow"
BUILDKIT = "github.com/moby/buildkit"


@pytest.mark.parametrize(
    ("stack", "cause"),
    [
        (["runtime.mapiternext", f"{BUILDKIT}/cache/remotecache/v1.(*normalizeState).checkLoops"], "loop-check"),
        # The signature nearest to the leaf decides, and comes before the phase of the leaf.
        (["crypto/sha256.block", f"{BUILDKIT}/solver/llbsolver.recomputeDigests"], "solver"),
        (["crypto/sha256.block", "main.main"], "hashing"),
        (
            [f"{BUILDKIT}/cache.getAvailableBlobs", f"{BUILDKIT}/solver/llbsolver.(*ProvenanceCreator).Predicate"],
            "blob-variants",
        ),
        ([LOCK, "go.etcd.io/bbolt.(*DB).removeTx", f"{BUILDKIT}/solver/llbsolver.NewProvenanceCreator"], "provenance"),
        ([LOCK, f"{BUILDKIT}/cache.(*cacheManager).Get"], "lock"),
        ([LOCK, f"{BUILDKIT}/cache/remotecache/v1.(*CacheChains).Add"], "lock"),
        (["x/sync/semaphore.(*Weighted).Acquire", f"{BUILDKIT}/solver/llbsolver/ops.(*ExecOp).Acquire"], "limit"),
        (["x/sync/semaphore.(*Weighted).Acquire", f"{BUILDKIT}/util/resolver/limited.(*req).acquire"], "limit"),
        (["io.Copy", "github.com/tonistiigi/fsutil.Send", f"{BUILDKIT}/session/filesync.sendDiffCopy"], "session"),
        (["x", f"{BUILDKIT}/executor/containerdexecutor.(*containerdExecutor).Run"], "step-running"),
        # The container of a frontend lives as long as its build.
        (
            [
                "x",
                f"{BUILDKIT}/executor/runcexecutor.(*runcExecutor).Run",
                f"{BUILDKIT}/frontend/gateway.(*gatewayFrontend).Solve",
            ],
            "other",
        ),
        # A lock that is known to dead-lock only below the scheduler.
        (
            [LOCK, f"{BUILDKIT}/util/progress.(*MultiWriter).Write", f"{BUILDKIT}/solver.(*scheduler).dispatch"],
            "lock",
        ),
        (
            [LOCK, f"{BUILDKIT}/util/progress.(*MultiWriter).Add", f"{BUILDKIT}/solver.(*state).setEdge"],
            "deadlock",
        ),
    ],
)
def test_cause_of_a_stack(stack: list[str], cause: str) -> None:
    assert doing(stack, waiting=True).name == cause


def test_the_scheduler_counts_only_while_it_runs() -> None:
    stack = ["runtime.gopark", f"{BUILDKIT}/solver.(*scheduler).dispatch"]
    assert doing(stack, waiting=True).name == "other"
    assert doing(stack, waiting=False).name == "solver"
