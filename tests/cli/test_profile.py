"""`cachedoctor profile`: reading profiles from files and daemons."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachedoctor.diagnosis import daemon as fetching
from cachedoctor.errors import InputError
from tests.pprof.gotool import daemon
from tests.servers import Exchange, Respond, Server
from tests.support import FIXTURES, run

PROFILES = FIXTURES / "profiles"
STUCK = PROFILES / "cpu-stuck.pprof"
WIDE = {"COLUMNS": "400"}


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


@contextmanager
def running(scenario: str, exports: int) -> Iterator[str]:
    """The address of a real Go program that exports caches forever."""
    with subprocess.Popen([daemon(), scenario, str(exports)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["loop-check", "re-add", "lock", "push"])
def test_diagnoses_a_running_daemon(scenario: str, tmp_path: Path) -> None:
    with running(scenario, 3) as address:
        time.sleep(0.3)
        kept = tmp_path / "kept"
        done = run("profile", f"http://{address}", "--seconds", "1", "--save", kept, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    document = json.loads(done.stdout)
    assert document["diagnosis"][0]["cause"] == scenario
    assert sum(export["count"] for export in document["exports"]) == 3
    assert [profile["kind"] for profile in document["inputs"]] == ["cpu", "goroutine"]
    again = json.loads(run("profile", next(kept.glob("cpu-*.pprof")), "--format", "json").stdout)
    assert again["profile"] == document["profile"]
    dump = json.loads(run("profile", next(kept.glob("goroutines-*.txt")), "--format", "json").stdout)
    assert dump["diagnosis"][0]["cause"] == scenario
    assert dump["exports"] == document["exports"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("profile?seconds=1", "cpu"),
        ("goroutine", "goroutine"),
        ("goroutine?debug=1", "goroutine"),
        ("heap", "heap"),
        ("allocs", "heap"),
        ("mutex", "contention"),
        ("block", "contention"),
        ("threadcreate", "threadcreate"),
    ],
)
def test_reads_any_profile_by_its_url(path: str, kind: str) -> None:
    with running("re-add", 1) as address:
        done = run("profile", f"http://{address}/debug/pprof/{path}", "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    document = json.loads(done.stdout)
    assert document["profile"]["kind"] == kind
    if kind in ("heap", "contention", "threadcreate"):
        assert [diagnosis["cause"] for diagnosis in document["diagnosis"]] == ["other"]


def answer(status: int, body: bytes = b"", **headers: str) -> Respond:
    """Answer and end the connection, as servers of HTTP/1.0 do."""

    def respond(exchange: Exchange) -> None:
        exchange.handler.close_connection = True
        exchange.begin(status, headers)
        exchange.handler.wfile.write(body)

    return respond


def endless(exchange: Exchange) -> None:
    exchange.begin(200, {})
    while not exchange.stopping.is_set():
        exchange.handler.wfile.write(bytes(1 << 20))


def silent(exchange: Exchange) -> None:
    exchange.stopping.wait()


def dripping(exchange: Exchange) -> None:
    exchange.begin(200, {})
    exchange.drip(b"x")


@pytest.mark.parametrize(
    ("respond", "problem"),
    [
        (answer(404), "the daemon answers 404; is it buildkitd's debug address"),
        (answer(500, b"cpu profiling already in use\nx"), "the daemon answers 500: cpu profiling already in use"),
        (answer(500, b"no size\r\n", **{"transfer-encoding": "chunked"}), "the daemon answers 500\n"),
        (answer(302, location="http://127.0.0.1:1/"), "the daemon answers 302"),
        (answer(200, b"<html>\x1b[31m</html>"), "HTML"),
        (answer(200, b"x", **{"content-length": "10"}), "9 bytes are missing"),
        pytest.param(endless, "more than 268,435,456 bytes", marks=pytest.mark.slow),
    ],
)
def test_bad_answer_gives_one_line(respond: Respond, problem: str) -> None:
    with Server(respond) as server:
        done = run("profile", server.url)
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(lines(done.stderr)) == 1
    assert problem in done.stderr.decode()
    assert "\x1b" not in done.stderr.decode()


def test_refused_connection_gives_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = run("profile", f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 2
    assert "Connection refused" in done.stderr.decode()


@pytest.mark.parametrize("url", ["http://", "http://user:secret@127.0.0.1:1/", "http://127.0.0.1:99999", "http://[::1"])
def test_invalid_address_gives_one_line(url: str) -> None:
    done = run("profile", url)
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert "secret" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("respond", "problem"), [(silent, "no answer within 0 seconds"), (dripping, "no whole answer within 0 seconds")]
)
def test_slow_daemon_times_out(respond: Respond, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "GRACE_SECONDS", 0.3)
    with Server(respond) as server, pytest.raises(InputError, match=problem):
        list(fetching.fetch(server.url, 1))


def test_full_accept_queue_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "GRACE_SECONDS", 0.2)
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        with pytest.raises(InputError, match="no answer within 0 seconds"):
            list(fetching.fetch(f"http://127.0.0.1:{full.getsockname()[1]}", 1))


def test_reads_standard_input() -> None:
    done = run("profile", "-", stdin=STUCK.read_bytes())
    assert lines(done.stdout)[0] == "The cache export walks every path through its cache keys: the loop check."


def test_json_has_every_function_in_the_requested_order() -> None:
    document = json.loads(run("profile", STUCK, "--format", "json").stdout)
    assert list(document)[:3] == ["schema_version", "command", "tool"]
    assert document["profile"] == {
        "kind": "cpu",
        "sample_type": "cpu",
        "unit": "nanoseconds",
        "total": 15_000_000_000,
        "duration_seconds": pytest.approx(15.17, abs=0.01),
    }
    assert len(document["top"]) == 42
    assert document["dropped"] == {"nodes": 34, "cum": 75_000_000}
    cums = [row["cum"] for row in document["top"]]
    assert cums == sorted(cums, reverse=True)
    row = next(row for row in document["top"] if row["function"].endswith(".checkLoops"))
    assert (row["flat"], row["cum"], row["inline"]) == (920_000_000, 14_960_000_000, False)
    assert row["cum_percent"] == pytest.approx(99.7333, abs=1e-3)
    assert any(row["inline"] for row in document["top"])
    flat = json.loads(run("profile", STUCK, "--format", "json", "--sort", "flat", "--top", "3").stdout)
    assert flat["top"][0]["function"] == "internal/runtime/maps.(*Iter).Next"
    assert len(flat["top"]) == 3


@pytest.mark.parametrize(
    ("cache", "running_for", "estimate"),
    [
        ("diamond-28.json", "1m", r"2\.8 to 9\.9 min .* 3\.8 to 11 min .* 1 min\b.* 1\.6 .*loop-check"),
        ("diamond-28.json", "2h", r" 2 h .* should have ended.* 1\.6 .*loop-check.* 3\.8 to 11 min"),
        ("diamond-28.json", "", r"3\.8 to 11 min .* 1\.6 .*loop-check.* --running-for"),
        ("accumulated.json", "", "would not finish \\(about 37 to [0-9]+ years\\)"),
        ("service.json", "", r" 31 loop-check.*\bthe export holds more than"),
    ],
)
def test_cache_gives_an_estimate(cache: str, running_for: str, estimate: str) -> None:
    options = ["--running-for", running_for] if running_for else []
    done = run("profile", STUCK, "--cache", FIXTURES / "manifests" / cache, *options, env=WIDE)
    assert re.search(estimate, lines(done.stdout)[0])


@pytest.mark.parametrize(("duration", "shown"), [("2471.3s", "41 min"), ("40min", "40 min"), ("1 h", "1 h")])
def test_takes_durations_as_buildkit_prints_them(duration: str, shown: str) -> None:
    cache = FIXTURES / "manifests" / "diamond-28.json"
    done = run("profile", STUCK, "--cache", cache, "--running-for", duration, env=WIDE)
    assert f"has run for {shown} and" in lines(done.stdout)[0]


@pytest.mark.parametrize(
    ("options", "warning"),
    [(["--running-for", "1m"], "--running-for .* --cache"), (["--focus", "nosuch"], "--focus nosuch: no match")],
)
def test_warns_about_options_without_effect(options: list[str], warning: str) -> None:
    done = run("profile", STUCK, *options)
    assert (done.returncode, len(lines(done.stderr))) == (0, 1)
    assert re.search(warning, done.stderr.decode())


def test_warns_about_a_cache_without_effect() -> None:
    done = run("profile", PROFILES / "cpu-compress.pprof", "--cache", FIXTURES / "manifests" / "service.json")
    assert done.returncode == 0
    assert "--cache" in done.stderr.decode()
    assert len(lines(done.stderr)) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--focus", "("], "not a regular expression"),
        (["--running-for", "soon"], "expected a time such as"),
        (["--running-for", ""], "expected a time such as"),
        (["--running-for", "40"], "expected a time such as"),
        (["--top", "0"], "0 is not in the range"),
        (["--save", "x"], "--save needs a URL"),
        (["--seconds", "601"], "601 is not in the range"),
        (["--seconds", "5"], "--seconds needs a URL"),
        (["--twice", "60"], "--twice needs a URL; pass two files to compare them"),
        (["--cache", "nowhere.json"], "nowhere.json: cannot read it"),
        (["--sample-type", "wall"], "no sample type wall; it has samples, cpu"),
        (["-o", str(STUCK)], "is the profile itself"),
    ],
)
def test_bad_usage(arguments: list[str], problem: str) -> None:
    before = STUCK.read_bytes()
    done = run("profile", STUCK, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert problem in done.stderr.decode()
    assert STUCK.read_bytes() == before


@pytest.mark.parametrize("format", ["folded", "svg"])
def test_tables_have_no_stacks(format: str) -> None:
    done = run("profile", PROFILES / "issue-6008-top50.txt", "--format", format)
    assert (done.returncode, done.stdout, len(lines(done.stderr))) == (2, b"", 1)
    assert "has no stacks" in done.stderr.decode()


@pytest.mark.slow
def test_unwritable_save_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running("lock", 1) as address:
        done = run("profile", f"http://{address}/debug/pprof/heap", "--save", tmp_path / "file" / "x")
    assert (done.returncode, len(lines(done.stderr))) == (2, 1)
    assert "cannot keep what was fetched" in done.stderr.decode()


def shell(script: str) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -m cachedoctor profile"
    done = subprocess.run(
        ["bash", "-c", script.replace("profile", command, 1)], capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_closed_and_full_streams() -> None:
    closed = shell("profile - <&-")
    assert (closed.returncode, len(lines(closed.stderr))) == (2, 1)
    assert shell(f"profile {STUCK} <&- -q").returncode == 0
    full = shell(f"profile {STUCK} > /dev/full")
    assert full.returncode == 2
    assert lines(full.stderr) == ["cachedoctor: cannot write the report: No space left on device"]


def test_refuses_an_invalid_expression_in_one_line() -> None:
    done = run("profile", STUCK, "--focus", "(")
    assert "re2" not in done.stderr.decode()
    assert "is not a regular expression" in done.stderr.decode()


def test_goroutines_alone_are_diagnosed(tmp_path: Path) -> None:
    dump = (PROFILES / "goroutine-stuck-debug2.txt").read_bytes()

    def goroutines_only(exchange: Exchange) -> None:
        answer(*((200, dump) if "goroutine" in exchange.path else (500, b"")))(exchange)

    with Server(goroutines_only) as server:
        done = run("profile", server.url, "--save", tmp_path)
    assert done.returncode == 0
    assert "the daemon answers 500" in done.stderr.decode()
    assert lines(done.stdout)[0].startswith("The cache export walks every path")
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == dump


def test_two_dumps_are_compared(tmp_path: Path) -> None:
    dump = (PROFILES / "goroutine-stuck-debug2.txt").read_text()
    later = tmp_path / "later.txt"
    later.write_text(
        dump.replace("minutes]", "minutes, locked to thread]").replace("[select, 2 minutes", "[select, 4 minutes")
    )
    done = run("profile", PROFILES / "goroutine-stuck-debug2.txt", later, "--format", "json")
    document = json.loads(done.stdout)
    assert document["inputs"][0]["source"] == str(later)
    assert document["twice"]["busy"][0]["function"].endswith("checkLoops")
    assert [(item["count"], item["minutes"]) for item in document["twice"]["busy"]] == [(1, None)]
    text = run("profile", PROFILES / "goroutine-stuck-debug2.txt", later, env=WIDE).stdout.decode()
    assert "What did not move" in text
    assert json.loads(run("profile", later, STUCK, "--format", "json").stdout)["profile"]["kind"] == "cpu"


def test_a_daemon_is_asked_twice(tmp_path: Path) -> None:
    dump = (PROFILES / "goroutine-stuck-debug2.txt").read_bytes()
    asked = []

    def respond(exchange: Exchange) -> None:
        asked.append(exchange.path.partition("?")[0].rpartition("/")[2])
        answer(200, dump if "goroutine" in exchange.path else STUCK.read_bytes())(exchange)

    with Server(respond) as server:
        done = run("profile", server.url, "--twice", "1", "--format", "json", "--save", tmp_path)
    assert asked == ["goroutine", "profile", "goroutine"]
    assert [item["kind"] for item in json.loads(done.stdout)["inputs"]] == ["cpu", "goroutine", "goroutine"]
    assert json.loads(done.stdout)["twice"]["moved"] == 0


def test_proxies_are_ignored() -> None:
    with Server(answer(404)) as server:
        done = run("profile", server.url, env={"http_proxy": "http://127.0.0.1:1"})
    assert "the daemon answers 404" in done.stderr.decode()


def test_suggests_the_missing_scheme() -> None:
    assert "to fetch it from a daemon, use http://127.0.0.1:6060" in run("profile", "127.0.0.1:6060").stderr.decode()


def test_refuses_other_kinds_of_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path, tmp_path / "pipe", tmp_path / "missing", FIXTURES / "manifests" / "service.json"):
        done = run("profile", source)
        assert (done.returncode, len(lines(done.stderr))) == (2, 1)


def test_writes_a_whole_svg(tmp_path: Path) -> None:
    out = tmp_path / "flame.svg"
    done = run("profile", STUCK, "--format", "svg", "-o", out)
    assert (done.returncode, done.stdout) == (0, b"")
    assert out.read_text().rstrip().endswith("</svg>")
