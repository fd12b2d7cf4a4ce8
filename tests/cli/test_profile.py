"""`cachedoctor profile` as it is run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.pprof.gotool import daemon
from tests.support import FIXTURES, run

PROFILES = FIXTURES / "profiles"
STUCK = PROFILES / "cpu-stuck.pprof"


def lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


@contextmanager
def running(scenario: str, exports: int) -> Iterator[str]:
    """A real Go program that exports caches forever; its address."""
    with subprocess.Popen([daemon(), scenario, str(exports)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("scenario", "causes"),
    [("loop-check", {"loop-check"}), ("re-add", {"re-add"}), ("lock", {"lock"}), ("push", {"push"})],
)
def test_diagnoses_a_running_daemon(scenario: str, causes: set[str], tmp_path: Path) -> None:
    with running(scenario, 3) as address:
        time.sleep(0.3)
        kept = tmp_path / "kept"
        done = run("profile", f"http://{address}", "--seconds", "1", "--save", kept, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert {found["diagnosis"][0]["cause"]} == causes
    assert sum(one["count"] for one in found["exports"]) == 3
    assert [one["kind"] for one in found["inputs"]] == ["cpu", "goroutine"]
    again = json.loads(run("profile", next(kept.glob("cpu-*.pprof")), "--format", "json").stdout)
    assert again["profile"] == found["profile"]
    dump = json.loads(run("profile", next(kept.glob("goroutines-*.txt")), "--format", "json").stdout)
    assert dump["diagnosis"][0]["cause"] == scenario
    assert dump["exports"] == found["exports"]


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
    found = json.loads(done.stdout)
    assert found["profile"]["kind"] == kind
    if kind in ("heap", "contention", "threadcreate"):
        assert [one["cause"] for one in found["diagnosis"]] == ["other"]


class Server(HTTPServer):
    def handle_error(self, *request: object) -> None:
        """The client went away, which is what is tested."""


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *message: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _answer(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (_answer(404), "the daemon answers 404; is it buildkitd's debug address"),
        (_answer(500, b"cpu profiling already in use\nx"), "the daemon answers 500: cpu profiling already in use"),
        (_answer(500, b"no size\r\n", **{"transfer-encoding": "chunked"}), "the daemon answers 500\n"),
        (_answer(302, location="http://127.0.0.1:1/"), "the daemon answers 302"),
        (_answer(200, b"<html>\x1b[31m</html>"), "HTML"),
        (_answer(200, b"x", **{"content-length": "10"}), "9 bytes are missing"),
        (_endless, "more than 268,435,456 bytes"),
    ],
)
def test_bad_answer_gives_one_line(answer: Callable[[BaseHTTPRequestHandler], None], problem: str) -> None:
    with serving(answer) as url:
        done = run("profile", url)
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


def test_silent_daemon_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from cachedoctor.diagnosis import daemon as module
    from cachedoctor.errors import InputError

    monkeypatch.setattr(module, "GRACE_SECONDS", 0.2)
    with serving(lambda handler: time.sleep(1.5)) as url, pytest.raises(InputError, match="no answer within 0 seconds"):
        list(module.fetch(url, 1))


def test_dripping_daemon_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from cachedoctor.diagnosis import daemon as module
    from cachedoctor.errors import InputError

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    monkeypatch.setattr(module, "GRACE_SECONDS", 0.4)
    with serving(drip) as url, pytest.raises(InputError, match="no whole answer within 0 seconds"):
        list(module.fetch(url, 1))


def test_full_accept_queue_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from cachedoctor.diagnosis import daemon as module
    from cachedoctor.errors import InputError

    monkeypatch.setattr(module, "GRACE_SECONDS", 0.2)
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(InputError, match="no answer within 0 seconds"):
            list(module.fetch(f"http://127.0.0.1:{full.getsockname()[1]}", 1))


def test_reads_standard_input() -> None:
    done = run("profile", "-", stdin=STUCK.read_bytes())
    assert lines(done.stdout)[0] == "The cache export walks every path through its cache keys: the loop check."


def test_json_has_every_function_in_the_requested_order() -> None:
    found = json.loads(run("profile", STUCK, "--format", "json").stdout)
    assert list(found)[:3] == ["schema_version", "command", "tool"]
    assert found["profile"] == {
        "kind": "cpu",
        "sample_type": "cpu",
        "unit": "nanoseconds",
        "total": 15_000_000_000,
        "duration_seconds": pytest.approx(15.17, abs=0.01),
    }
    assert len(found["top"]) == 42
    assert found["dropped"] == {"nodes": 34, "cum": 75_000_000}
    cums = [row["cum"] for row in found["top"]]
    assert cums == sorted(cums, reverse=True)
    row = next(row for row in found["top"] if row["function"].endswith(".checkLoops"))
    assert (row["flat"], row["cum"], row["inline"]) == (920_000_000, 14_960_000_000, False)
    assert row["cum_percent"] == pytest.approx(99.7333, abs=1e-3)
    assert any(row["inline"] for row in found["top"])
    flat = json.loads(run("profile", STUCK, "--format", "json", "--sort", "flat", "--top", "3").stdout)
    assert flat["top"][0]["function"] == "internal/runtime/maps.(*Iter).Next"
    assert len(flat["top"]) == 3


def test_cache_gives_an_estimate() -> None:
    cache = FIXTURES / "manifests" / "diamond-28.json"
    done = run("profile", STUCK, "--cache", cache, "--running-for", "1m", env={"COLUMNS": "400"})
    first = lines(done.stdout)[0]
    assert "left, of about 3.8 to 11 minutes in all, after 1 minute: 1.61 thousand million loop-check calls" in first
    endless = run("profile", STUCK, "--cache", FIXTURES / "manifests" / "accumulated.json", env={"COLUMNS": "400"})
    assert "It practically never ends (about 37 to 106 years): " in lines(endless.stdout)[0]
    at_once = run("profile", STUCK, "--cache", FIXTURES / "manifests" / "service.json", env={"COLUMNS": "400"})
    assert "the export holds more than these" in lines(at_once.stdout)[0]
    unknown = run("profile", STUCK, "--cache", cache, env={"COLUMNS": "400"})
    assert "How long it has run is not in this profile" in lines(unknown.stdout)[0]
    overdue = run("profile", STUCK, "--cache", cache, "--running-for", "2h", env={"COLUMNS": "400"})
    assert "should have ended" in lines(overdue.stdout)[0]


@pytest.mark.parametrize(("given", "told"), [("2471.3s", "41 minutes"), ("40min", "40 minutes"), ("1 h", "1 hour")])
def test_takes_durations_as_buildkit_prints_them(given: str, told: str) -> None:
    cache = FIXTURES / "exporter-state" / "export-stuck.json"
    done = run("profile", STUCK, "--cache", cache, "--running-for", given, env={"COLUMNS": "400"})
    assert f"after {told}" in lines(done.stdout)[0]


def test_warns_about_options_without_effect() -> None:
    assert "tells nothing without --cache" in run("profile", STUCK, "--running-for", "1m").stderr.decode()
    assert "nothing matches" in run("profile", STUCK, "--focus", "nosuchfunction").stderr.decode()


def test_warns_about_a_cache_without_effect() -> None:
    done = run("profile", PROFILES / "cpu-compress.pprof", "--cache", FIXTURES / "manifests" / "service.json")
    assert done.returncode == 0
    assert "--cache tells nothing here" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--focus", "("], "no regular expression"),
        (["--running-for", "soon"], "expected a time such as"),
        (["--running-for", ""], "expected a time such as"),
        (["--running-for", "40"], "expected a time such as"),
        (["--top", "0"], "0 is not in the range"),
        (["--save", "x"], "--save is for a URL"),
        (["--seconds", "601"], "601 is not in the range"),
        (["--seconds", "5"], "--seconds is for a URL"),
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
    assert "does not tell stacks" in done.stderr.decode()


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
    assert "is no regular expression" in done.stderr.decode()


def test_goroutines_alone_are_diagnosed(tmp_path: Path) -> None:
    dump = (PROFILES / "goroutine-stuck-debug2.txt").read_bytes()

    def half(handler: BaseHTTPRequestHandler) -> None:
        _answer(200, dump)(handler) if "goroutine" in handler.path else _answer(500)(handler)

    with serving(half) as url:
        done = run("profile", url, "--save", tmp_path)
    assert done.returncode == 0
    assert "the daemon answers 500" in done.stderr.decode()
    assert lines(done.stdout)[0].startswith("The cache export walks every path")
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == dump


def test_proxies_are_ignored() -> None:
    with serving(_answer(404)) as url:
        done = run("profile", url, env={"http_proxy": "http://127.0.0.1:1"})
    assert "the daemon answers 404" in done.stderr.decode()


def test_suggests_the_missing_scheme() -> None:
    assert "of a daemon, give http://127.0.0.1:6060" in run("profile", "127.0.0.1:6060").stderr.decode()


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
