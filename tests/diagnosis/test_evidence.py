"""Evidence from files, streams and text as people have it."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from cachedoctor.diagnosis import evidence as module
from cachedoctor.diagnosis.daemon import Answer
from cachedoctor.diagnosis.evidence import Evidence, load, load_answer, read
from cachedoctor.errors import InputError
from tests.support import FIXTURES, run

PROFILES = FIXTURES / "profiles"
STUCK = PROFILES / "cpu-stuck.pprof"
CHECK_LOOPS = "github.com/moby/buildkit/cache/remotecache/v1.(*normalizeState).checkLoops"
DUMP = "goroutine 7 [sync.Mutex.Lock, 12 minutes]:\nexample.com/a.(*T[...]).Lock(...)\n\t/src/a.go:1\n"


def test_cpu_profile() -> None:
    evidence = load(str(STUCK))
    assert (evidence.kind, evidence.sample_type, evidence.unit) == ("cpu", "cpu", "nanoseconds")
    assert evidence.total == 15_000_000_000
    assert evidence.duration_seconds == pytest.approx(15.17, abs=0.01)
    assert CHECK_LOOPS in evidence.functions
    assert not evidence.goroutines


def test_table() -> None:
    evidence = load(str(PROFILES / "issue-6008-top50.txt"))
    assert (evidence.kind, evidence.sample_type, evidence.unit) == ("cpu", "cpu", "nanoseconds")
    assert (evidence.total, evidence.duration_seconds, evidence.profile) == (120_770_000_000, None, None)
    assert CHECK_LOOPS in evidence.functions


def test_goroutines_are_the_same_in_all_forms_of_a_dump() -> None:
    dumps = [
        load(str(PROFILES / f"goroutine-stuck{end}")).goroutines for end in (".pprof", "-debug1.txt", "-debug2.txt")
    ]
    assert [sum(goroutine.count for goroutine in dump) for dump in dumps] == [46, 46, 46]
    assert [sum(CHECK_LOOPS in goroutine.stack for goroutine in dump) for dump in dumps] == [1, 1, 1]


def test_listed_dump_has_states_times_and_creators() -> None:
    dump = {goroutine.id: goroutine for goroutine in load(str(PROFILES / "goroutine-stuck-debug2.txt")).goroutines}
    assert dump[1].minutes == 2
    assert dump[1].state == "select"
    assert (dump[49216].state, dump[49216].minutes, dump[49216].creator) == ("runnable", None, 47944)
    assert dump[49216].stack[0] == CHECK_LOOPS
    assert dump[49216].stack[-1] == "golang.org/x/sync/errgroup.(*Group).Go.func1"


def warning(data: bytes) -> str:
    return read(data, "x").warning


def test_warning_says_what_is_missing() -> None:
    whole = (PROFILES / "goroutine-stuck-debug1.txt").read_text()
    assert warning(whole.encode()) == ""
    half = whole[: whole.index("\n\n", len(whole) // 2)]
    assert warning(half.encode()).startswith("the dump is cut short: it lacks 1")
    listed = (PROFILES / "goroutine-stuck-debug2.txt").read_bytes()
    assert warning(listed) == ""
    assert warning(listed[:3010]) == "the dump seems to be cut short: its last goroutine is incomplete"
    odd = b"flat flat% sum% cum cum%\n1s 1% 1% 1s 1% f\nwhat is this\n"
    assert warning(odd) == "1 line of the table could not be read"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("-", stdin=BytesIO(STUCK.read_bytes())).total == 15_000_000_000
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": BytesIO(DUMP.encode())}))
    assert len(load("-").goroutines) == 1


def test_answer_of_a_daemon() -> None:
    url = "http://127.0.0.1:6060/debug/pprof/profile?seconds=1"
    evidence = load_answer(Answer(url, "cpu.pprof", STUCK.read_bytes()), "samples")
    assert (evidence.source, evidence.sample_type) == (url, "samples")


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


@pytest.fixture(scope="module", params=TEXTS)
def text(request: pytest.FixtureRequest) -> tuple[str, Evidence]:
    file = PROFILES / request.param
    return file.read_text(), load(str(file))


@pytest.mark.parametrize("way", WAYS)
def test_text_as_people_have_it(text: tuple[str, Evidence], way: str) -> None:
    plain, expected = text
    evidence = read(WAYS[way](plain), "pasted")
    assert evidence.goroutines == expected.goroutines
    assert evidence.functions == expected.functions


@pytest.mark.parametrize(("limit", "name"), [("MOST_TEXT_BYTES", "bytes"), ("MOST_LINES", "lines")])
def test_text_is_bounded(limit: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(DUMP) if limit == "MOST_TEXT_BYTES" else DUMP.count("\n")
    monkeypatch.setattr(module, limit, size)
    assert read(DUMP.encode(), "x").goroutines
    with pytest.raises(InputError, match=f"^more than {size:,} {name} of text, which is refused$"):
        read(b"\n" + DUMP.encode(), "x")


EXPECTED = "expected a pprof profile"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("heap profile: 1: 2 [3: 4] @ heap/1\n", "fetch it without debug=1"),
        ('{"layers": []}', f"JSON, perhaps a cache: cachedoctor analyze reads caches; {EXPECTED}"),
        ("<html>", f"HTML; {EXPECTED}"),
        ("hello\n", f"text of an unknown kind; {EXPECTED}"),
        (" \n", f"empty; {EXPECTED}"),
        ("flat flat% sum% cum cum%\n", "line 2: a table of pprof -top without any function"),
        ("goroutine profile: total 5\n", "a goroutine dump without any stack"),
        ("# syntax=docker/dockerfile:1\nARG A=1\nFROM alpine\nRUN x\n", "a Dockerfile, which does not show what a"),
        ("#12 [build 3/7] RUN make\n#12 DONE 0.1s\n", "a build log, which does not show what the daemon does"),
        ("12:00 => [internal] load build definition\n => CACHED [2/3] RUN x\n", "a build log"),
        ("ERROR: failed to solve: process did not complete\n", "a build log"),
        ("goroutine 1 [running]:\n", "a goroutine dump without any stack"),
    ],
)
def test_other_text_is_refused_in_one_line(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text(text)
    done = run("profile", file)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().count("\n") == 1
    assert problem in done.stderr.decode()


def test_crash_without_a_stack_is_evidence() -> None:
    evidence = read(b"runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n", "x")
    assert evidence.crash[1] == "fatal error: stack overflow"
    assert (evidence.goroutines, evidence.total, evidence.whole) == ([], 0, False)


def test_daemon_that_was_killed_is_evidence() -> None:
    line = "Out of memory: Killed process 4242 (buildkitd) total-vm:9000000kB"
    assert read(f"Jun 17 21:38:37 host kernel: {line}\n".encode(), "x").crash
    with pytest.raises(InputError, match="text of an unknown kind"):
        read(line.replace("buildkitd", "cc1plus").encode(), "x")


def test_stack_of_an_error_says_nothing_about_goroutines() -> None:
    text = "failed: context canceled\n7 v0.14.1 buildkitd --debug\nmain.main\n\t/src/main.go:1\n"
    evidence = read(text.encode(), "x")
    assert (evidence.kind, evidence.goroutines, evidence.errors) == ("error", [], [("main.main",)])
    assert list(evidence.functions) == ["main.main"]
    assert evidence.warning.startswith("this is the stack of an error")


def test_stack_of_one_thread_is_not_a_whole_dump() -> None:
    evidence = read(b"#0  runtime.futex () at /x.s:1\n#1  main.main () at /main.go:1\n", "x")
    assert (len(evidence.goroutines), evidence.whole) == (1, False)


def test_kind_of_a_table_of_bytes_is_heap() -> None:
    assert read(b"flat flat% sum% cum cum%\n1MB 1% 1% 1MB 1% a.b\n", "x").kind == "heap"


def test_truncated_file_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "cut.pprof"
    file.write_bytes(STUCK.read_bytes()[:-300])
    with pytest.raises(InputError, match=rf"^{file}: gzip byte \d+: the data is cut short$"):
        load(str(file))


def test_malformed_profile_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "malformed.pprof"
    file.write_bytes(b"\x22\x02\x08\x00\x0a\x02\x08\x00")
    with pytest.raises(InputError, match=f"^{file}: a malformed profile: a location with the id 0$"):
        load(str(file))


def test_gzip_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pprof"
    file.write_bytes(gzip.compress(bytes(32 << 20), 9))
    with pytest.raises(InputError, match=r"unpacks to more than \d\d,\d{3},\d{3} bytes, which is refused"):
        load(str(file))


@pytest.mark.parametrize(
    ("source", "hint"),
    [("127.0.0.1:6060", "; to fetch it from a daemon, use http://127.0.0.1:6060"), ("no/such/file", "")],
)
def test_file_that_is_not_there(source: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load(source)
    assert str(caught.value) == f"{source}: cannot read it: No such file or directory{hint}"


HEAVY = ("numpy", "re2", "google.protobuf", "urllib.request", "http.client")


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("cpu-stuck.pprof", ["google.protobuf"]),
        ("goroutine-stuck-debug1.txt", []),
        ("goroutine-stuck-debug2.txt", []),
        ("issue-6008-top50.txt", []),
    ],
)
def test_small_evidence_is_diagnosed_without_heavy_modules(name: str, loaded: list[str]) -> None:
    script = (
        "import sys\n"
        "from cachedoctor.diagnosis.daemon import is_url\n"
        "from cachedoctor.diagnosis.diagnose import diagnose\n"
        "from cachedoctor.diagnosis.evidence import load\n"
        f"diagnose([load({str(PROFILES / name)!r})])\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == loaded
