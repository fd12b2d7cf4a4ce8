"""Ctrl-C: quiet at any moment, and nothing half-written stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachedoctor.io import interrupts
from tests.support import FIXTURES

READY = "from cachedoctor.io import interrupts; interrupts.install(); import os; os.write(1, b'!'); "
COMMANDS = [
    ["analyze", "manifests/too-large.json"],
    ["profile", "profiles/cpu-stuck.pprof"],
    ["repair", "manifests/too-large.json", "--dry-run"],
    ["check", "manifests/service.json"],
]


def interrupted(code: str, arguments: list[str], delay: float, cwd: Path) -> tuple[int, bytes]:
    """The exit code and standard error of a process that gets SIGINT so many seconds after its handler is in place."""
    command = [sys.executable, "-c", READY + code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"!"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def check_moments(moments: int) -> None:
    for number in range(moments):
        delay = 0.25 * number / moments
        command = COMMANDS[number % len(COMMANDS)]
        code, errors = interrupted("from cachedoctor.__main__ import main; main()", command, delay, FIXTURES)
        assert errors == b"", (command, delay)
        # The command may have finished before.
        assert code in (0, interrupts.INTERRUPTED), (command, delay)


@pytest.mark.slow
def test_an_interrupt_is_quiet() -> None:
    check_moments(4)


@pytest.mark.slow
def test_an_interrupt_is_quiet_at_any_moment_of_the_start() -> None:
    check_moments(100)


@pytest.mark.slow
def test_cleanups_run_last_first_and_an_error_in_one_does_not_stop_the_others(tmp_path: Path) -> None:
    code = """
import time
from cachedoctor.io.interrupts import on_interrupt
with on_interrupt(lambda: os.write(2, b'never')):
    pass
with on_interrupt(lambda: os.write(2, b'second')):
    with on_interrupt(lambda: 1 / 0):
        with on_interrupt(lambda: os.write(2, b'first ')):
            os.write(1, b'!')
            time.sleep(60)
"""
    assert interrupted(f"exec({code!r})", [], 0.5, tmp_path) == (interrupts.INTERRUPTED, b"first second")


@pytest.mark.slow
@pytest.mark.parametrize("pause", ["os.fsync", "os.replace"])
def test_an_interrupted_write_leaves_what_was_there(pause: str, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("before")
    code = f"""
import time
from cachedoctor.io import files
import pathlib
{pause} = pathlib.Path.replace = lambda *arguments: time.sleep(60)
files.write_atomically({os.fspath(target)!r}, b'after')
"""
    assert interrupted(f"exec({code!r})", [], 0.8, tmp_path) == (interrupts.INTERRUPTED, b"")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
