"""Goroutine dumps and pasted tables."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.diagnosis import evidence
from cachedoctor.diagnosis.evidence import read
from cachedoctor.diagnosis.load import load
from cachedoctor.errors import InputError
from cachedoctor.pprof import goroutines, pasted, table
from cachedoctor.pprof.top import top
from tests.pprof.gotool import pprof_top
from tests.pprof.test_top import random_profile
from tests.support import FIXTURES, run

PROFILES = FIXTURES / "profiles"
CHECK_LOOPS = "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops"


def test_all_forms_of_one_dump_have_the_same_goroutines() -> None:
    found = [
        load(str(PROFILES / f"goroutine-stuck{end}")).goroutines for end in (".pprof", "-debug1.txt", "-debug2.txt")
    ]
    assert [sum(one.count for one in dump) for dump in found] == [46, 46, 46]
    assert [sum(CHECK_LOOPS in one.stack for one in dump) for dump in found] == [1, 1, 1]


def test_a_listed_dump_tells_states_times_and_creators() -> None:
    found = {one.id: one for one in load(str(PROFILES / "goroutine-stuck-debug2.txt")).goroutines}
    assert found[1].minutes == 2
    assert found[1].state == "select"
    assert (found[49216].state, found[49216].minutes, found[49216].creator) == ("runnable", None, 47944)
    assert found[49216].stack[0] == CHECK_LOOPS
    assert found[49216].stack[-1] == "golang.org/x/sync/errgroup.(*Group).Go.func1"


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


def test_what_a_program_prints_on_sigquit_is_read() -> None:
    first, second = read(LISTED.encode(), "x").goroutines
    assert first.stack == ("sync.runtime_SemacquireMutex", "example.com/a.(*T[...]).Lock")
    assert (first.state, first.minutes, first.id, first.creator) == ("sync.Mutex.Lock", 12, 7, None)
    assert second.stack == ("main.main",)


def test_a_grouped_dump_may_have_labels_and_inlined_frames() -> None:
    text = (
        "goroutine profile: total 5\n"
        '3 @ 0x1 0x2\n# labels: {"a":"b"}\n#\t0x1\tx.f+0x1\t\t/x.go:1\n#\t0x1\tx.g(...)\t/x.go:2\n\n'
        "2 @\n\n1 @ 0x3\n#\t0x3\ty.f+0x1\t/y.go:1"
    )
    found = goroutines.grouped(text.splitlines(), "x")
    assert [(one.count, one.stack) for one in found] == [(3, ("x.f", "x.g(...)")), (2, ()), (1, ("y.f",))]


def test_a_dump_that_is_cut_short_is_refused() -> None:
    with pytest.raises(InputError, match="without any stack"):
        read(b"goroutine profile: total 5\n", "x")


def test_what_a_dump_or_a_table_lacks_is_told() -> None:
    whole = (PROFILES / "goroutine-stuck-debug1.txt").read_text()
    assert read(whole.encode(), "x").warning == ""
    half = whole[: whole.index("\n\n", len(whole) // 2)]
    assert "the dump is cut short: 1" in read(half.encode(), "x").warning
    listed = (PROFILES / "goroutine-stuck-debug2.txt").read_bytes()
    assert read(listed, "x").warning == ""
    for end in (3000, 3010, 3033, 9999):
        assert "seems to be cut short" in read(listed[:end], "x").warning or listed[:end].endswith(b"\n")
    odd = b"flat flat% sum% cum cum%\n1s 1% 1% 1s 1% f\nwhat is this\n"
    assert read(odd, "x").warning == "1 lines of the table could not be read"


def test_a_number_that_no_daemon_has_is_not_cut_to_one() -> None:
    text = f"goroutine profile: total 5\n{'9' * 40} @ 0x1\n#\t0x1\tx.f+0x1\t/x.go:1\n"
    with pytest.raises(InputError, match="without any stack"):
        read(text.encode(), "x")


def test_a_line_whose_parentheses_do_not_match_is_no_function() -> None:
    text = "goroutine 1 [running]:\na.b)\nc.d((1)\ne.f(func(2))\n\t/e.go:1\n"
    (found,) = goroutines.listed(text.splitlines(), "x")
    assert found.stack == ("c.d(", "e.f")


def test_the_bytes_of_a_text_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_TEXT_BYTES", len(LISTED))
    assert len(read(LISTED.encode(), "x").goroutines) == 2
    with pytest.raises(InputError, match="bytes of text, which is refused"):
        read(LISTED.encode() + b"\n", "x")


def test_the_number_of_goroutines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goroutines, "MOST_GOROUTINES", 1)
    with pytest.raises(InputError, match="more than 1 goroutines"):
        read(LISTED.encode(), "x")


def test_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of empty lines took minutes to be looked through."""
    data = LISTED.encode()
    monkeypatch.setattr(pasted, "MOST_LINES", len(data.splitlines()))
    monkeypatch.setattr("cachedoctor.diagnosis.evidence.MOST_TEXT_BYTES", len(data) + 1)
    assert read(data, "x").goroutines
    with pytest.raises(InputError, match=f"x: more than {pasted.MOST_LINES} lines of text, which is refused"):
        read(b"\n" + data, "x")
    with pytest.raises(InputError, match=f"x: more than {len(data) + 1:,} bytes of text, which is refused"):
        read(b"\n\n" + data, "x")


@given(st.text(alphabet="goroutine 1[]:()\n\t@x0.,#", max_size=200))
def test_any_text_is_a_dump_or_refused(text: str) -> None:
    for kind in (goroutines.grouped, goroutines.listed):
        try:
            found = kind(text.splitlines(), "x")
        except InputError:
            continue
        assert all(one.count >= 0 for one in found)


@pytest.mark.parametrize("name", ["cpu-stuck", "cpu-compress", "cpu-deep-chain", "heap", "goroutine-stuck"])
@pytest.mark.parametrize("sort", ["cum", "flat"])
@pytest.mark.parametrize("frame", ["{}", "    {}", "> {}", "| {} |", "```\n{}\n```", "$ go tool pprof -top x\n{}\n$ "])
def test_a_table_is_read_as_it_is_printed(name: str, sort: str, frame: str) -> None:
    file = PROFILES / f"{name}.pprof"
    lines = pprof_top(file, f"-{sort}")
    before, _, after = frame.partition("{}")
    if "\n" not in before:
        text = "\n".join(f"{before}{line}{after}" for line in lines)
    else:
        text = before + "\n".join(lines) + after
    evidence = read(text.encode(), "pasted")
    assert evidence.table
    profile = load(str(file)).profile
    assert profile
    expected = top(profile, "cum" if sort == "cum" else "flat")
    rows = evidence.table.top.rows
    assert [(row.function, row.inline) for row in rows] == [(row.function, row.inline) for row in expected.rows]
    assert evidence.table.top.dropped_nodes == expected.dropped_nodes
    unit = max(1, expected.total // 100)
    assert all(abs(row.cum - real.cum) <= unit for row, real in zip(rows, expected.rows, strict=True))
    assert evidence.sample_type == profile.sample_type.type


@pytest.mark.parametrize("seed", range(8))
def test_tables_of_random_profiles_are_read(seed: int, tmp_path: Path) -> None:
    file = tmp_path / "random.pprof"
    file.write_bytes(random_profile(seed))
    lines = pprof_top(file)
    rows = len(lines) - 1 - next(at for at, line in enumerate(lines) if table.head(line))
    evidence = load_text("\n".join(lines)) if rows else None
    assert (len(evidence.top.rows) if evidence else 0) == rows


def load_text(text: str) -> table.Table:
    found = read(text.encode(), "pasted").table
    assert found
    return found


TEXTS = ["goroutine-stuck-debug1.txt", "goroutine-stuck-debug2.txt", "issue-6008-top50.txt"]
WAYS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "BOM": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "spaces": lambda text: text.expandtabs().encode(),
    "indented": lambda text: "".join(f"    {line}\n" for line in text.splitlines()).encode(),
    "fenced": lambda text: f"Here:\n```\n{text}\n```\nthanks".encode(),
    "quoted": lambda text: "".join(f"> {line}\n" for line in text.splitlines()).encode(),
    "compose": lambda text: "".join(f"buildkitd-1  | {line}\n" for line in text.splitlines()).encode(),
    "kubectl": lambda text: "".join(f"2026-11-24T08:17:10.123456789Z {line}\n" for line in text.splitlines()).encode(),
    "prompt": lambda text: f"$ curl http://x\n{text}$ \n".encode(),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("way", WAYS)
def test_text_is_read_as_people_have_it(name: str, way: str) -> None:
    file = PROFILES / name
    plain, found = load(str(file)), read(WAYS[way](file.read_text()), "pasted")
    assert found.goroutines == plain.goroutines
    assert found.functions == plain.functions


def test_a_dump_of_another_architecture_has_more_tabs() -> None:
    text = "goroutine profile: total 1\n1 @ 0x1\n#\t0x1\t\tsync.runtime_SemacquireMutex+0x1\t/x.go:1\n"
    assert goroutines.grouped(text.splitlines(), "x")[0].stack == ("sync.runtime_SemacquireMutex",)


def test_a_running_goroutine_may_have_no_stack() -> None:
    text = (
        "goroutine 5 [running]:\n\tgoroutine running on other thread; stack unavailable\n"
        'created by a.b in goroutine 1\n\t/x.go:1\n\ngoroutine 1 [runnable (scan)]{"k": "v"}:\na.c()\n\t/x.go:1\n'
    )
    first, second = goroutines.listed(text.splitlines(), "x")
    assert (first.hidden, first.stack, first.creator) == (True, (), 1)
    assert (second.state, second.stack) == ("runnable", ("a.c",))


def test_names_that_were_broken_are_joined_and_other_lines_counted() -> None:
    text = (
        "flat flat% sum% cum cum%\n"
        "0 0% 0% 9s 90% github.com/moby/buildkit/cache/remotecache\n/v1.(*CacheChains).Marshal\n"
        "1s 10% 10% 8s 80% runtime.f\n(inline)\nwhat is this\n(pprof)\n"
    )
    found = load_text(text)
    assert [(row.function, row.inline) for row in found.top.rows] == [
        ("github.com/moby/buildkit/cache/remotecache/v1.(*CacheChains).Marshal", ""),
        ("runtime.f", "inline"),
    ]
    assert found.skipped == 2


def test_a_table_of_markdown_is_read() -> None:
    text = "| flat | flat% | sum% | cum | cum% |\n|---|---|---|---|---|\n| 1s | 1% | 1% | 2s | 2% | a.b (inline) |\n"
    (row,) = load_text(text).top.rows
    assert (row.function, row.inline, row.cum) == ("a.b", "inline", 2 * 10**9)


def test_columns_may_stand_in_another_order() -> None:
    text = "cum  cum%  flat  flat%  sum%\n  1.50mins 75.00%  500ms  0.42% 0.42%  a.b (inline)\n"
    text += " 2mins 100% 0 0% 0.42% main.main\n"
    found = load_text(text)
    assert [(row.function, row.flat, row.cum, row.inline) for row in found.top.rows] == [
        ("a.b", 500_000_000, 90_000_000_000, "inline"),
        ("main.main", 0, 120_000_000_000, ""),
    ]
    assert (found.top.total, found.top.unit, found.sample_type) == (120_000_000_000, "nanoseconds", "cpu")


def test_the_table_of_the_bug_report_is_read_whole() -> None:
    found = load(str(PROFILES / "issue-6008-top50.txt")).table
    assert found
    assert len(found.top.rows) == 32
    assert (found.top.total, found.top.dropped_nodes, found.top.dropped_cum) == (120_770_000_000, 139, 600_000_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flat flat% sum% cum cum%\n", "without any function"),
        ("flat flat% sum% cum cum%\n9999999999999999s 0% 0% 1s 0% f\n", "without any function"),
        ("flat flat% sum% cum cum%\n999999999999999PB 0% 0% 1PB 0% f\n", "without any function"),
        ("heap profile: 1: 2 [3: 4] @ heap/1\n", "fetch it without debug=1"),
        ('{"layers": []}', "perhaps a cache, which cachedoctor analyze reads"),
        ("<html>", "HTML"),
        ("hello\n", "text that is none of what is read"),
        (" \n", "empty"),
    ],
)
def test_other_text_is_refused_in_a_line(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text(text)
    done = run("profile", file)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().count("\n") == 1
    assert problem in done.stderr.decode()


def test_a_share_that_is_no_number_is_not_counted_from() -> None:
    """The total is guessed from the largest cum with a share: 4s are 40 %."""
    text = "flat flat% sum% cum cum%\n1s 1% 1% 9s NaN% a.b\n1s 1% 1% 4s 40% c.d\n"
    found = load_text(text)
    assert ([row.cum for row in found.top.rows], found.skipped) == ([9 * 10**9, 4 * 10**9], 0)
    assert found.top.total == 10 * 10**9


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 1)
    with pytest.raises(InputError, match="more than 1 lines"):
        load_text("flat flat% sum% cum cum%\n" + "1s 1% 1% 1s 1% f\n" * 2)
