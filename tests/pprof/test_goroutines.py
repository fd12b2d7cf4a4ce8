"""Goroutine dumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.io.wrappings import unwrapped
from cachedoctor.pprof import goroutines
from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.goroutines import (
    MARKS,
    Dump,
    Goroutine,
    dump,
    from_profile,
    grouped,
    listed,
    missing,
    profile_of,
)
from tests.pprof.profiles import KINDS, Builder, kept_in
from tests.support import FIXTURES

PROFILES = FIXTURES / "profiles"
LISTED = """SIGQUIT: quit
PC=0x47 m=0 sigcode=0

goroutine 7 gp=0xc000 m=3 mp=0xc1 [sync.Mutex.Lock, 12 minutes, locked to thread]:
sync.runtime_SemacquireMutex(0x1?, {0x2, 0x3}, func(0x4))
\t/usr/local/go/src/runtime/sema.go:95 +0x25
example.com/a.(*T[...]).Lock(...)
\t/src/a.go:1
...additional frames elided...
created by example.com/a.Start
\t/src/a.go:2 +0x1

goroutine 8 [running]:
main.main()
\t/src/main.go:3 +0x1
rax    0x0
"""


@pytest.mark.parametrize("indent", ["", "    "])
def test_dump_on_sigquit(indent: str) -> None:
    first, second = listed([indent + line for line in LISTED.splitlines()])
    assert first.stack == ("sync.runtime_SemacquireMutex", "example.com/a.(*T[...]).Lock")
    assert (first.state, first.minutes, first.id, first.creator) == ("sync.Mutex.Lock", 12, 7, None)
    assert second.stack == ("main.main",)


def test_grouped_dump_with_labels_and_inlined_frames() -> None:
    text = (
        "goroutine profile: total 5\n"
        '3 @ 0x1 0x2\n# labels: {"a":"b"}\n#\t0x1\tx.f+0x1\t\t/x.go:1\n#\t0x1\tx.g(...)\t/x.go:2\n\n'
        "2 @\n\n1 @ 0x3\n#\t0x3\ty.f+0x1\t/y.go:1"
    )
    dump = grouped(text.splitlines())
    assert [(goroutine.count, goroutine.stack) for goroutine in dump] == [
        (3, ("x.f", "x.g(...)")),
        (2, ()),
        (1, ("y.f",)),
    ]


def test_grouped_dump_of_another_architecture_has_more_tabs() -> None:
    text = "goroutine profile: total 1\n1 @ 0x1\n#\t0x1\t\tsync.runtime_SemacquireMutex+0x1\t/x.go:1\n"
    assert grouped(text.splitlines())[0].stack == ("sync.runtime_SemacquireMutex",)


@pytest.mark.parametrize(
    "text",
    [
        "goroutine profile: total 5\n",
        # A number that no daemon has is not cut to a smaller one.
        f"goroutine profile: total 5\n{'9' * 40} @ 0x1\n#\t0x1\tx.f+0x1\t/x.go:1\n",
    ],
)
def test_dump_without_stacks_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^a goroutine dump without any stack: it is cut short, or was changed$"):
        grouped(text.splitlines())


def test_missing_goroutines_are_counted() -> None:
    lines = (PROFILES / "goroutine-stuck-debug1.txt").read_text().splitlines()
    assert missing(lines, grouped(lines)) == 0
    half = lines[: lines.index("", len(lines) // 2)]
    assert missing(half, grouped(half)) == 46 - sum(goroutine.count for goroutine in grouped(half)) > 0
    assert missing(["goroutine profile: total 99999999999"], []) == 0


def test_dump_that_is_cut_within_a_goroutine() -> None:
    text = (PROFILES / "goroutine-stuck-debug2.txt").read_text()
    assert not dump(text.splitlines()).cut
    for end in (3000, 3010, 3033, 9999):
        assert dump(text[:end].splitlines()).cut or text[:end].endswith("\n")


def test_line_whose_parentheses_do_not_match_is_not_a_function() -> None:
    text = "goroutine 1 [running]:\na.b)\nc.d((1)\ne.f(func(2))\n\t/e.go:1\n"
    (goroutine,) = listed(text.splitlines())
    assert goroutine.stack == ("c.d", "e.f")


def test_running_goroutine_may_have_no_stack() -> None:
    text = (
        "goroutine 5 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
        'created by a.b in goroutine 1\n\t/x.go:1\n\ngoroutine 1 [runnable (scan)]{"k": "v"}:\na.c()\n\t/x.go:1\n'
    )
    first, second = listed(text.splitlines())
    assert (first.hidden, first.stack, first.creator) == (True, (), 1)
    assert (second.state, second.stack) == ("runnable", ("a.c",))


def test_number_of_goroutines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goroutines, "MOST_GOROUTINES", 1)
    with pytest.raises(InputError, match="more than 1 goroutines, which is refused"):
        listed(LISTED.splitlines())


@given(st.text(alphabet="goroutine 1[]:()\n\t@x0.,#", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (grouped, listed):
        try:
            dump = read(text.splitlines())
        except InputError:
            continue
        assert all(goroutine.count >= 0 for goroutine in dump)


@pytest.mark.parametrize("kind", KINDS)
def test_goroutines_of_a_profile(kind: str) -> None:
    builder = Builder(("goroutine", "count"))
    builder.sample([("a", "b"), "c"], 3)
    builder.sample(["c"], 0)
    with kept_in(kind):
        assert from_profile(decode(builder.bytes())) == [Goroutine(("a", "b", "c"), 3)]


def test_profile_of_goroutines() -> None:
    dump = [Goroutine(("a", "b"), 3), Goroutine((), 2), Goroutine(("b",))]
    profile = profile_of(dump)
    assert (profile.kind, profile.sample_type, profile.total) == ("goroutine", ("goroutine", "count"), 6)
    assert from_profile(profile) == dump


REPORTS = FIXTURES / "reports"
V1 = "github.com/moby/buildkit/cache/remotecache/v1"


def read(text: str) -> Dump:
    return dump(text.splitlines())


def test_equal_goroutines_that_were_folded() -> None:
    found = read((REPORTS / "18-2950-collapsed-dump" / "stacks.txt").read_text())
    first, second = found.goroutines
    assert (first.count, first.state, first.minutes, first.id, len(first.stack)) == (5100, "semacquire", 1, 18865, 5)
    assert (second.count, second.id) == (1, 18864)


@pytest.mark.parametrize(
    ("wait", "state", "minutes", "locked"),
    [
        ("chan receive, 12 minutes, locked to thread", "chan receive", 12, True),
        ("select, 1 minutes", "select", 1, False),
        ("running, locked to thread", "running", None, True),
        ("chan receive (nil chan), 1234 minutes", "chan receive", 1234, False),
        ("GC worker (idle)", "GC worker", None, False),
        ("sync.Cond.Wait, 5 minutes, synctest bubble 1", "sync.Cond.Wait", 5, False),
    ],
)
def test_waits(wait: str, state: str, minutes: int | None, locked: bool) -> None:
    (goroutine,) = read(f"goroutine 7 [{wait}]:\nmain.main()\n\t/x.go:1\n").goroutines
    assert (goroutine.state, goroutine.minutes, goroutine.locked) == (state, minutes, locked)


@pytest.mark.parametrize("name", ["plain.txt", "journal.txt"])
def test_crash_trace(name: str) -> None:
    lines = (REPORTS / "05-1535-syslog-stack-overflow" / name).read_text().splitlines()
    found = dump(unwrapped("\n".join(lines), MARKS))
    assert found.marks == ["runtime: goroutine stack exceeds 1000000000-byte limit", "fatal error: stack overflow"]
    crashed, other = found.goroutines
    assert (crashed.id, crashed.elided, other.elided) == (670, True, False)
    assert crashed.stack[:2] == ("reflect.resolveTypeOff", "encoding/json.Unmarshal")
    assert crashed.created_by.endswith("errgroup.(*Group).Go")
    assert (found.unread, found.cut) == (0, False)


def test_stack_of_an_error_is_no_goroutine() -> None:
    text = (REPORTS / "12-earthly2862-jenkins-time" / "plain.txt").read_text()
    found = read(text)
    (stack,) = found.errors
    assert (stack[0], stack[-1]) == ("main.unaryInterceptor.func1", "runtime.goexit")
    assert (found.goroutines[0].id, found.marks) == (0, ["SIGABRT: abort"])
    assert read(text[: text.index("SIGABRT")]).goroutines == []


@pytest.mark.parametrize("between", ["\n", ""])
def test_stacks_without_headers(between: str) -> None:
    blocks = [f"a.b(0x1)\n\t/a.go:1\nc.d()\n\t/c.go:2\ncreated by e.f\n\t/e.go:{line}\n" for line in (1, 2)]
    found = read(between.join(blocks))
    assert [(goroutine.stack, goroutine.id) for goroutine in found.goroutines] == [(("a.b", "c.d"), None)] * 2


def test_list_of_names() -> None:
    (goroutine,) = read(f"{V1}.(*normalizeState).checkLoops\nruntime.mapiternext\n{V1}.normalize\n").goroutines
    assert goroutine.stack == (f"{V1}.(*normalizeState).checkLoops", "runtime.mapiternext", f"{V1}.normalize")


def test_text_below_a_dump_does_not_count() -> None:
    found = read(f"{LISTED}\nexit status 2\n\nHas anybody seen this? It happens each day (or so).\n")
    assert (len(found.goroutines), found.unread, found.cut) == (2, 0, False)


def test_line_within_a_goroutine_counts_as_unread() -> None:
    found = read(LISTED.replace("\t/src/a.go:1\n", "\t/src/a.go:1\nlevel=info a line of a log\n", 1))
    assert (found.unread, found.example) == (1, "level=info a line of a log")


def test_grouped_dump_without_its_first_line() -> None:
    text = "3 @ 0x1 0x2\n#\t0x1\tx.f+0x1\t/x.go:1\n"
    assert goroutines.is_grouped(text.splitlines())
    assert grouped(text.splitlines()) == [Goroutine(("x.f",), 3)]


def test_lines_that_seem_broken_are_tried_a_limited_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goroutines, "MOST_FAILURES", 0)
    text = "goroutine 1 [select]:\na.b({0x1,\n??\n\nc.d({0x1,\n0x2})\n"
    assert read(text).goroutines[0].stack == ("a.b", "c.d")
