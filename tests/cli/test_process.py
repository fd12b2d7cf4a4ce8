"""A command does the same in its own process as in the process of the tests, where most tests run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import FIXTURES, run

SERVICE = str(FIXTURES / "manifests/service.json")
DIAMONDS = str(FIXTURES / "manifests/diamond-28.json")
LOOP = str(FIXTURES / "exporter-state/export-loop.json")
STUCK = str(FIXTURES / "profiles/cpu-stuck.pprof")

COMMANDS = {
    "no command": ([], 2),
    "help": (["--help"], 0),
    "version": (["--version"], 0),
    "an unknown option": (["check", "--nonsense"], 2),
    "analyze": (["analyze", LOOP], 0),
    "analyze standard input": (["analyze", "-", "--format", "json"], 0),
    "analyze with an exit code": (["analyze", LOOP, "--exit-code", "--format", "markdown"], 1),
    "analyze a layout": (["analyze", f"oci:{FIXTURES}/layouts/v0.32.2-docker-list:latest", "--verbose"], 0),
    "analyze a file that is missing": (["analyze", "missing\n.json"], 2),
    "check that passes": (["check", SERVICE, "--format", "github"], 0),
    "check that fails": (["check", DIAMONDS, "--quiet"], 1),
    "check with settings": (["check", SERVICE, "--config", "settings.toml"], 1),
    "repair to a file": (["repair", LOOP, "-o", "repaired.json"], 0),
    "repair without a target": (["repair", LOOP], 2),
    "profile": (["profile", STUCK, "--cache", DIAMONDS], 0),
    "profile to a file": (["profile", STUCK, "--format", "svg", "-o", "flame.svg"], 0),
    "profile that is a cache": (["profile", SERVICE], 2),
}


FAST = {"version", "analyze standard input", "check that fails", "repair to a file", "profile that is a cache"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in COMMANDS]
)
def test_same_in_its_own_process(name: str, tmp_path: Path) -> None:
    arguments, code = COMMANDS[name]
    results = []
    for process in (False, True):
        folder = tmp_path / str(process)
        folder.mkdir()
        (folder / "settings.toml").write_text("max-calls = 1\n")
        done = run(*arguments, stdin=Path(SERVICE).read_bytes(), cwd=folder, env={"COLUMNS": "72"}, process=process)
        written = {path.name: path.read_bytes() for path in folder.iterdir()}
        results.append((done.returncode, done.stdout, done.stderr, written))
    within, alone = results
    assert alone[0] == code
    assert within == alone
