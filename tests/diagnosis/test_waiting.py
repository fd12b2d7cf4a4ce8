"""Who waits for whom: locks and their holders, dead-locks, limits, steps, and the client."""

from __future__ import annotations

import pytest

from cachedoctor.diagnosis.diagnose import Diagnosis, diagnose
from cachedoctor.diagnosis.evidence import read
from cachedoctor.pprof.goroutines import Goroutine
from tests.diagnosis.examples import CHECK_LOOPS, FINALIZE, RUN, dump

B = "github.com/moby/buildkit"
LOCK = ("sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock")
MUTEX = "sync.Mutex.Lock"
MAIN = Goroutine(("main.main.func3", "main.main"), state="select", minutes=90, id=1)
MANAGER = f"{B}/cache.(*cacheManager)"
SOLVER = f"{B}/solver.(*Solver)"


def waiting(*stack: str, minutes: int | None = 5, id: int = 7) -> Goroutine:
    """A goroutine that waits for a lock, which the first function takes."""
    return Goroutine((*LOCK, *stack), state=MUTEX, minutes=minutes, id=id)


def goroutine(*stack: str, state: str = "select", minutes: int | None = 5, id: int = 8) -> Goroutine:
    return Goroutine(stack, state=state, minutes=minutes, id=id)


def of(*goroutines: Goroutine) -> Diagnosis:
    return diagnose([dump(MAIN, *goroutines)])


def test_the_holder_of_a_lock_is_named() -> None:
    holder = goroutine("syscall.fsync", f"{MANAGER}.prune", f"{MANAGER}.Prune", state="syscall", id=99)
    main = of(waiting(f"{MANAGER}.Get"), waiting(f"{MANAGER}.Get", id=9), holder).main
    assert (main.cause, main.outcome) == ("lock", "unknown")
    assert f"It is probably held by goroutine 99, which is in {MANAGER}.Prune (syscall)." in main.explanation
    assert main.evidence[-1] == f"goroutine 99 [syscall, 5 minutes]: {MANAGER}.Prune"


def test_one_that_waits_for_the_same_lock_does_not_hold_it() -> None:
    assert "held by" not in of(waiting(f"{MANAGER}.Get"), waiting(f"{MANAGER}.GetMutable", id=9)).main.explanation


def test_the_state_says_that_it_is_a_lock_if_the_frames_of_the_runtime_are_cut_off() -> None:
    assert of(goroutine(f"{MANAGER}.Get", state=MUTEX)).main.cause == "lock"


@pytest.mark.parametrize(
    ("stack", "minutes", "cause"),
    [
        # Its own function is in the stack twice, with functions of others in between.
        ((f"{MANAGER}.Release", f"{SOLVER}.drop", f"{MANAGER}.Release"), 5, "deadlock"),
        ((f"{MANAGER}.Release", f"{SOLVER}.drop", f"{MANAGER}.Release"), None, "lock"),
        ((f"{MANAGER}.Release", f"{MANAGER}.Release"), 5, "lock"),
        ((f"{MANAGER}.Get", f"{SOLVER}.drop", f"{MANAGER}.Release"), 5, "lock"),
        # Known places.
        ((f"{MANAGER}.Release", f"{MANAGER}.getRecord"), 5, "deadlock"),
        ((f"{B}/solver/llbsolver/ops.(*cacheRefShare).release", f"{SOLVER}.x"), 5, "deadlock"),
        ((f"{B}/util/progress.(*MultiWriter).Add", f"{B}/solver.(*state).setEdge"), 5, "deadlock"),
        # One that is not a minute old may be over in a moment.
        ((f"{B}/util/progress.(*MultiWriter).Add", f"{B}/solver.(*state).setEdge"), None, "lock"),
    ],
)
def test_a_lock_in_one_stack(stack: tuple[str, ...], minutes: int | None, cause: str) -> None:
    main = of(waiting(*stack, minutes=minutes)).main
    assert (main.cause, main.outcome) == (cause, "never" if cause == "deadlock" else "unknown")


def test_two_that_wait_for_each_other() -> None:
    first = waiting(f"{MANAGER}.Get", f"{SOLVER}.build", id=7)
    second = waiting(f"{SOLVER}.load", f"{MANAGER}.Prune", id=8)
    main = of(first, second).main
    assert (main.cause, main.outcome) == ("deadlock", "never")
    assert "each may hold what the other waits for" in main.explanation
    running = goroutine(f"{MANAGER}.Size", state="running", minutes=None, id=9)
    assert of(first, second, running).main.cause == "lock"


def test_a_lock_that_nothing_can_release() -> None:
    old = waiting(f"{MANAGER}.Get", minutes=240)
    assert (of(old).main.cause, of(old).main.outcome) == ("deadlock", "never")
    assert of(old, goroutine(f"{SOLVER}.x", state="runnable", minutes=None)).main.cause == "lock"
    partial = diagnose([dump(old)]).main
    assert (partial.cause, partial.outcome) == ("lock", "unknown")


ACQUIRE = "golang.org/x/sync/semaphore.(*Weighted).Acquire"
REGISTRY = (ACQUIRE, f"{B}/util/resolver/limited.(*req).acquire", f"{B}/util/resolver/limited.(*pusher).Push")
SENDS = ("net/http.(*persistConn).roundTrip", f"{B}/util/push.Push")


def test_a_pool_of_connections_that_nothing_uses_is_dead_locked() -> None:
    main = of(goroutine(*REGISTRY)).main
    assert (main.cause, main.outcome) == ("limit", "never")
    for other in (goroutine(*SENDS, id=9), goroutine("net.(*conn).Read", "net/http.(*persistConn).readLoop", id=9)):
        main = of(goroutine(*REGISTRY), other).main
        assert (main.cause, main.outcome) == ("limit", "never" if other.stack[0].startswith("net.") else "unknown")
    assert of(goroutine(*REGISTRY, minutes=1)).main.outcome == "unknown"
    assert diagnose([dump(goroutine(*REGISTRY))]).main.outcome == "unknown"


def test_waiting_for_a_connection_while_one_is_opened_is_the_network() -> None:
    wants = goroutine("net/http.(*Transport).getConn", f"{B}/util/resolver.(*authHandler).fetch", f"{B}/util/push.Push")
    assert of(wants).main.cause == "limit"
    dials = goroutine("net.(*Dialer).DialContext", "net/http.(*Transport).dialConn", id=9)
    assert of(wants, dials).main.cause == "push"


RUNC = f"{B}/executor/runcexecutor.(*runcExecutor).Run"
EXEC = f"{B}/solver/llbsolver/ops.(*ExecOp).Exec"


def test_steps_that_run() -> None:
    step = goroutine(
        "github.com/containerd/go-runc.(*defaultMonitor).Wait", RUNC, EXEC, state="chan receive", minutes=31
    )
    idle = goroutine(
        "golang.org/x/net/http2.(*serverConn).serve", f"{B}/frontend/gateway.serveLLBBridgeForwarder.func1", id=9
    )
    frontend = goroutine("x", RUNC, f"{B}/frontend/gateway.(*gatewayFrontend).Solve", id=10)
    diagnosis = of(step, idle, frontend)
    assert [finding.cause for finding in diagnosis.findings] == ["step-running"]
    assert "1 RUN step is executing (runc), for at least 31 min." in diagnosis.main.explanation
    # An idle stream and the container of a frontend are there in every build.
    assert of(idle, frontend).main.cause == "other"
    assert of(idle, frontend).main.explanation == "No cache export is under way in this dump."


def test_an_export_comes_before_a_step_even_if_nothing_is_known_of_it() -> None:
    step = goroutine("x", RUNC, EXEC, id=9)
    diagnosis = of(goroutine("x", RUN), step)
    assert [finding.cause for finding in diagnosis.findings] == ["other", "step-running"]
    walks = goroutine(CHECK_LOOPS, FINALIZE, RUN, state="running", minutes=None)
    assert [finding.cause for finding in of(walks, step).findings] == ["loop-check", "step-running"]


@pytest.mark.parametrize(
    "stack",
    [
        ("google.golang.org/grpc.(*serverStream).SendMsg", f"{B}/session/filesync.(*streamWriterCloser).Write"),
        ("io.(*pipe).read", "github.com/containerd/containerd/content/proxy.(*remoteWriter).Write", f"{B}/exporter.x"),
        ("google.golang.org/grpc.(*ClientConn).Invoke", f"{B}/session/auth.(*authClient).FetchToken"),
        (
            *LOCK,
            "github.com/tonistiigi/fsutil.(*syncStream).SendMsg",
            "github.com/tonistiigi/fsutil.(*sender).sendFile",
        ),
    ],
)
def test_a_stream_to_the_client_is_not_the_network(stack: tuple[str, ...]) -> None:
    main = of(goroutine(*stack)).main
    assert main.cause == "session"
    assert "registry near" not in " ".join(main.help)


def test_cache_mount_that_another_step_uses() -> None:
    main = of(goroutine(f"{B}/solver/llbsolver/mounts.(*cacheRefGetter).getRefCacheDir", state="chan receive")).main
    assert main.cause == "lock"
    assert "sharing=locked" in main.explanation


def test_inline_and_provenance_exports_are_exports() -> None:
    inline = goroutine(CHECK_LOOPS, f"{B}/cache/remotecache/inline.(*exporter).ExportForLayers", state="running")
    assert of(inline).main.cause == "loop-check"
    walk = goroutine(*LOCK, f"{B}/solver.(*exporter).ExportTo", f"{B}/solver/llbsolver.(*ProvenanceCreator).Predicate")
    assert [export.cause for export in of(walk).exports] == ["provenance"]
    back = goroutine("x", f"{B}/solver.addBacklinks", f"{B}/solver.addBacklinks", state="runnable", minutes=None)
    assert of(back).main.cause == "provenance"
    assert of(back).main.fixed_in == "v0.14.0"


def test_what_runs_is_named_if_nothing_else_is_known() -> None:
    main = of(goroutine("runtime.mallocgc", f"{B}/solver.(*edge).probeCache", state="running", minutes=None)).main
    assert main.cause == "other"
    assert (
        "1 goroutine of BuildKit is running in github.com/moby/buildkit/solver.(*edge).probeCache" in main.explanation
    )
    scheduler = (f"{B}/solver.(*scheduler).dispatch", f"{B}/solver.(*scheduler).loop")
    assert of(goroutine(*scheduler, state="running", minutes=None)).main.cause == "solver"
    assert of(goroutine(*scheduler)).main.cause == "other"


def test_an_incomplete_dump_does_not_deny_an_export() -> None:
    assert "incomplete" in diagnose([dump(goroutine("x"))]).main.explanation
    cut = of(goroutine("x"), Goroutine((), state="select", id=9)).main
    assert "incomplete" in cut.explanation


CLIENT = goroutine("x", "github.com/docker/buildx/build.Build", "main.main")


def test_a_client_is_not_the_daemon() -> None:
    assert diagnose([dump(CLIENT)]).main.cause == "client"
    assert diagnose([dump(CLIENT, goroutine("x", f"{B}/control.(*Controller).Solve"))]).main.cause != "client"


TRACE = """\
{mark}

goroutine 5 [running]:
runtime.throw(0x1)
\t/usr/local/go/src/runtime/panic.go:1 +0x1
{function}(0x1)
\t/src/x.go:1 +0x1
"""


@pytest.mark.parametrize(
    ("mark", "function", "cause", "outcome"),
    [
        ("fatal error: concurrent map writes", f"{B}/cache/remotecache/v1.(*item).LinkFrom", "crash", "dead"),
        ("panic: runtime error: index out of range [1]", f"{B}/cache/remotecache/v1.sortConfig", "crash", "dead"),
        ("[signal SIGSEGV: segmentation violation code=0x1]", f"{B}/solver.(*edge).x", "crash", "dead"),
        ("unrelated", f"{B}/solver.(*edge).x", "crash", "dead"),
        ("panic: x", "github.com/docker/buildx/build.Build", "client", "dead"),
        # A program that a step ran, in the log of the build.
        ("panic: x", "example.com/app.Run", "other", "unknown"),
    ],
)
def test_what_died(mark: str, function: str, cause: str, outcome: str) -> None:
    main = diagnose([read(TRACE.format(mark=mark, function=function).encode(), "x")]).main
    assert (main.cause, main.outcome) == (cause, outcome)
    assert "No cache export" not in main.explanation


@pytest.mark.parametrize(
    "line",
    [
        "Memory cgroup out of memory: Killed process 4711 (buildkitd) total-vm:1kB",
        "oom-kill:constraint=CONSTRAINT_MEMCG,task=buildkitd,pid=4711",
        "buildkitd: exited: signal: killed",
        "Name: buildkitd\n  Reason: OOMKilled",
    ],
)
def test_a_daemon_without_memory(line: str) -> None:
    main = diagnose([read(line.encode(), "x")]).main
    assert (main.cause, main.outcome) == ("crash", "dead")
    assert "memory of the daemon" in main.explanation


def test_a_test_that_ran_out_of_time_is_not_a_crash() -> None:
    trace = TRACE.replace("runtime.throw", "testing.(*M).startAlarm.func1")
    text = trace.format(mark="panic: test timed out after 5m0s", function=f"{B}/solver.x")
    assert diagnose([read(text.encode(), "x")]).main.cause != "crash"
