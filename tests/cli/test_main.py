"""A command that is interrupted or fails itself never ends with exit code 1."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support import FIXTURES, run

SERVICE = str(FIXTURES / "manifests/service.json")


def broken(error: BaseException, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command, with an error instead of reading a cache."""
    with patch("cachedoctor.cli.inputs.load", side_effect=error):
        return run(*arguments, env=env)


@pytest.mark.parametrize("command", ["check", "analyze"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a\n\x1b[2J" + "x" * 10_000), f"ValueError: a\\u{{a}}\\u{{1b}}[2J{'x' * 294}; please"),
        (RecursionError(), "RecursionError: ; please"),
        (EOFError("end"), "EOFError: end; please"),
        (BrokenPipeError(32, "Broken pipe"), "BrokenPipeError: [Errno 32] Broken pipe; please"),
        (OSError(8, "Exec format error"), "OSError: [Errno 8] Exec format error; please"),
    ],
    ids=["ValueError", "RecursionError", "EOFError", "BrokenPipeError", "OSError"],
)
def test_internal_error_gives_one_line(command: str, error: Exception, message: str) -> None:
    got = broken(error, command, SERVICE)
    assert got.returncode == 2
    assert got.stdout == b""
    assert got.stderr.decode() == f"cachedoctor: internal error: {message} report it with the input\n"


def test_developers_get_a_traceback() -> None:
    got = broken(EOFError("end"), "check", SERVICE, CACHEDOCTOR_TRACEBACK="1")
    assert got.returncode == 2
    lines = got.stderr.decode().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2:] == [
        "EOFError: end",
        "cachedoctor: internal error: EOFError: end; please report it with the input",
    ]
    assert "CACHEDOCTOR_TRACEBACK=1" in (FIXTURES.parent / "docs/development.md").read_text()


def test_internal_error_is_annotated() -> None:
    got = broken(RecursionError("deep"), "check", SERVICE, "--format", "github")
    assert got.stdout.startswith(b"::error title=cachedoctor::internal error: RecursionError: deep; please")


def test_out_of_memory_gives_one_line() -> None:
    got = broken(MemoryError(), "check", SERVICE)
    assert got.returncode == 2
    assert got.stderr.decode() == f"cachedoctor: {SERVICE}: not enough memory for it\n"
    with patch("cachedoctor.analysis.check.analyze", side_effect=MemoryError):
        got = run("check", SERVICE)
    assert got.returncode == 2
    assert got.stderr == b"cachedoctor: not enough memory for this input\n"


@pytest.mark.parametrize("command", ["check", "analyze"])
def test_interrupted_command_does_not_judge_the_cache(command: str) -> None:
    got = broken(KeyboardInterrupt(), command, SERVICE)
    assert (got.returncode, got.stdout) == (130, b"")
    assert b"Traceback" not in got.stderr


def interrupted(handler: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in its own process, which gets SIGINT when it reads a cache."""
    code = f"""
import os, signal
import cachedoctor.cli.inputs
from cachedoctor.cli.main import main
{handler}
cachedoctor.cli.inputs.load = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGINT)
main()
"""
    return subprocess.run([sys.executable, "-c", code, "check", SERVICE], capture_output=True, check=False, timeout=60)


# A process in the background may start with this signal ignored.
RAISING = "signal.signal(signal.SIGINT, signal.default_int_handler)"
QUIET = "from cachedoctor.io import interrupts; interrupts.install()"


@pytest.mark.parametrize("handler", [RAISING, QUIET])
def test_interrupt_signal(handler: str) -> None:
    got = interrupted(handler)
    assert (got.returncode, got.stdout, got.stderr.strip()) == (130, b"", b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["analyze", "-"], b'{"records":['),
        (["check", "-"], b'{"records":['),
        (["repair", "-", "--dry-run"], b'{"records":['),
        (["profile", "-"], b"goroutine 7 [running]:\n"),
    ],
)
def test_interrupted_while_it_waits_for_input(arguments: list[str], start: bytes) -> None:
    command = [sys.executable, "-m", "cachedoctor", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        # More than a pipe holds, so that this returns once the command reads.
        process.stdin.write(start + b" " * 200_000)
        # Just before it waits for more, a signal is noticed only once the wait ends.
        for _ in range(300):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
        process.kill()
        printed = process.stdout.read() + process.stderr.read()
    assert (process.returncode, printed) == (130, b"")


def test_help_version_and_usage() -> None:
    for arguments in (["--help"], ["--version"], ["check", "--help"]):
        got = run(*arguments)
        assert (got.returncode, got.stderr) == (0, b"")
        assert got.stdout
    wrong = run("check", "--nonsense")
    assert wrong.returncode == 2
    lines = wrong.stderr.decode().splitlines()
    assert lines[0] == "Usage: cachedoctor check [OPTIONS] SOURCE..."
    assert lines[3].startswith("Error: No such option")
    assert "--nonsense" in lines[3]
    for arguments in ([], ["nonsense"], ["check"], ["analyze"]):
        got = run(*arguments)
        assert (got.returncode, got.stdout) == (2, b"")
        assert b"internal error" not in got.stderr


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["1", "2"])
@pytest.mark.parametrize(("source", "code"), [("service.json", 0), ("diamond-28.json", 1), ("none.json", 2)])
def test_closed_streams_keep_the_exit_code(closed: str, source: str, code: int) -> None:
    command = f"exec {sys.executable} -m cachedoctor check {FIXTURES}/manifests/{source} --format github {closed}>&-"
    got = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert got.returncode == code
    assert b"internal error" not in got.stdout + got.stderr


def test_an_unknown_command_gets_a_hint() -> None:
    typo, other = run("analyse", "x.json"), run("xyz")
    assert typo.returncode == other.returncode == 2
    assert b"no such command: 'analyse'; did you mean analyze?" in typo.stderr
    assert b"no such command: 'xyz'; expected one of analyze, check, profile, repair" in other.stderr
    file = run(SERVICE)
    assert b"cachedoctor analyze reads caches, cachedoctor profile reads profiles" in file.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("analyze", "--help")])
def test_help_to_a_full_disk_is_one_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        got = subprocess.run(
            [sys.executable, "-m", "cachedoctor", *arguments], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (got.returncode, got.stderr) == (2, b"cachedoctor: cannot write: No space left on device\n")
