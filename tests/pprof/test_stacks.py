"""Stacks in the texts of other tools."""

from __future__ import annotations

import math

import pytest

from cachedoctor.errors import InputError
from cachedoctor.pprof import goroutines, stacks
from cachedoctor.pprof.stacks import Stacks
from tests.support import FIXTURES

REPORTS = FIXTURES / "reports"
CHECK_LOOPS = "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops"


def read(text: str) -> Stacks:
    found = stacks.read(text.splitlines())
    assert found
    return found


def test_folded_stacks_are_a_cpu_profile() -> None:
    profile = read("main.main;a.b;c.d 5\nmain.main;a b.c 2\n").profile
    assert profile
    assert (profile.kind, profile.total) == ("cpu", 7)
    assert list(profile.stacks()) == [(["main.main", "a.b", "c.d"], 5), (["main.main", "a b.c"], 2)]


def test_folded_stacks_of_parked_goroutines_are_a_dump() -> None:
    found = read("main.main;a.b;runtime.gopark 5\nmain.main;c.d 2\n")
    assert [(goroutine.count, goroutine.stack[0]) for goroutine in found.goroutines] == [
        (5, "runtime.gopark"),
        (2, "c.d"),
    ]


TRACES = """File: buildkitd
Type: {type}
-----------+-------------------------------------------------------
     bytes:  512kB
{value:>10}   runtime.mapiternext
             a.b (inline)
             main.main
-----------+-------------------------------------------------------
{value:>10}   c.d
-----------+-------------------------------------------------------
"""


@pytest.mark.parametrize(
    ("type", "value", "kind", "total"),
    [("cpu", "10ms", "cpu", 20_000_000), ("inuse_space", "1kB", "heap", 2048), ("alloc_objects", "3", "heap", 6)],
)
def test_traces(type: str, value: str, kind: str, total: int) -> None:
    profile = read(TRACES.format(type=type, value=value)).profile
    assert profile
    assert (profile.kind, profile.sample_type.type, profile.total) == (kind, type, total)
    assert [stack for stack, _ in profile.stacks()] == [["main.main", "a.b", "runtime.mapiternext"], ["c.d"]]


def test_traces_of_goroutines() -> None:
    dump = read(TRACES.format(type="goroutine", value="3")).goroutines
    assert [(goroutine.count, goroutine.stack[-1]) for goroutine in dump] == [(3, "main.main"), (3, "c.d")]


def test_perf_top_with_decimal_commas() -> None:
    table = read((REPORTS / "24-buildx557-perf" / "perf-top.txt").read_text()).table
    assert table
    assert table.top.rows[0] == ("cmpbody", 1210, 1210, "")
    assert (table.top.total, table.sample_type) == (10_000, "cpu")


def test_perf_report_with_children() -> None:
    text = "# Overhead  Command  Shared Object  Symbol\n    99.30%     9.64%  buildkitd  buildkitd  [.] a.(*T).b\n"
    table = read(text).table
    assert table
    assert table.top.rows == [("a.(*T).b", 964, 9930, "")]


def test_stacks_of_perf_script() -> None:
    frames = "    43cd56 runtime.mapiternext+0x256 (/usr/bin/buildkitd)\n    dd0a5d a.(*T).b+0x25d (/usr/bin/b)\n"
    sample = "buildkitd 1234 [001] 5678.123456:   10101010 cycles:\n"
    profile = read(f"{sample}{frames}\n{sample}{frames}").profile
    assert profile
    assert (profile.kind, list(profile.stacks())) == ("cpu", [(["a.(*T).b", "runtime.mapiternext"], 2)])


def test_heap_profile_as_text() -> None:
    """A sample of the sampling rate's size, 512 KiB, stands for 1 / (1 - 1/e) as much."""
    text = (
        "heap profile: 2: 1048576 [9: 99] @ heap/1048576\n"
        "1: 524288 [1: 524288] @ 0x1 0x2\n#\t0x1\ta.b+0x1\t/a.go:1\n#\t0x2\tc.(*D).e+0x1\t/c.go:2\n\n"
        "0: 0 [8: 64] @ 0x3\n#\t0x3\tf.g+0x1\t/f.go:1\n\n"
        "4: 4000000000 [4: 4] @ 0x4\n#\t0x4\th.i+0x1\t/h.go:1\n\n# runtime.MemStats\n# Alloc = 123\n"
    )
    profile = read(text).profile
    assert profile
    assert (profile.kind, profile.sample_type) == ("heap", ("inuse_space", "bytes"))
    assert list(profile.stacks()) == [(["c.(*D).e", "a.b"], int(524288 / (1 - math.exp(-1)))), (["h.i"], 4 * 10**9)]
    unscaled = read(text.replace("heap/1048576", "heap_v2/1")).profile
    assert unscaled
    assert unscaled.total == 524288 + 4 * 10**9


def test_back_trace_of_gdb() -> None:
    (goroutine,) = read((REPORTS / "41-shapes-of-a-table" / "gdb.txt").read_text()).goroutines
    assert goroutine.stack[:2] == ("runtime.mapiternext", CHECK_LOOPS)


def test_each_thread_of_gdb_is_a_stack() -> None:
    dump = read(
        "Thread 2 (LWP 7):\n#0  a.b () at /x.go:1\n#1  c.d ()\n\nThread 1 (LWP 6):\n#0  0x01 in e.f ()\n"
    ).goroutines
    assert [goroutine.stack for goroutine in dump] == [("a.b", "c.d"), ("e.f",)]


DELVE = """(dlv) goroutines -t
* Goroutine 1 - User: /src/main.go:3 main.main (0x47) [chan receive 1234567]
\t 0  0x0000000000438d56 in runtime.gopark
\t    at /usr/local/go/src/runtime/proc.go:398
\t 1  0x0000000000405a25 in a.(*T).b
\t    at /src/a.go:1
  Goroutine 7 - User: /src/a.go:2 a.c (0x48) (thread 12)
"""


def test_goroutines_of_delve() -> None:
    dump = read(DELVE).goroutines
    assert [(goroutine.id, goroutine.stack) for goroutine in dump] == [
        (1, ("runtime.gopark", "a.(*T).b")),
        (7, ("a.c",)),
    ]


def test_other_text_has_no_stacks() -> None:
    assert stacks.read(["hello", "-----------+-----------", "#1 (x)", "50% of it"]) is None


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "MOST_FRAMES", 1)
    with pytest.raises(InputError, match="more than 1 frames, which is refused"):
        read("a.b;c.d 1\n")
    monkeypatch.setattr(goroutines, "MOST_GOROUTINES", 1)
    with pytest.raises(InputError, match="more than 1 goroutines, which is refused"):
        read("#0  a.b ()\n#0  c.d ()\n")
    monkeypatch.setattr(stacks, "MOST_ROWS", 1)
    with pytest.raises(InputError, match="more than 1 lines in the table, which is refused"):
        read("1.0%  x  [.] a\n2.0%  x  [.] b\n")
