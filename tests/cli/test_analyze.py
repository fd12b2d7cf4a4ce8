"""`cachedoctor analyze`, and what all commands share: help, streams, colors and imports."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import FIXTURES, run

SERVICE = FIXTURES / "manifests/service.json"
DIAMONDS = FIXTURES / "manifests/diamond-28.json"


def one_line(stderr: bytes) -> str:
    text = stderr.decode()
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


def test_help_has_an_example_for_each_command() -> None:
    for arguments in (["--help"], ["analyze", "--help"], ["check", "--help"], ["repair", "--help"]):
        got = run(*arguments)
        assert got.returncode == 0
        assert b"Example" in got.stdout


def test_version_matches_the_package() -> None:
    import cachedoctor

    assert run("--version").stdout.decode().strip().endswith(cachedoctor.__version__)


def test_heavy_libraries_are_imported_only_when_needed() -> None:
    heavy = (
        "rich",
        "zstandard",
        "tarfile",
        "tomllib",
        "xml.etree",
        "urllib3",
        "numpy",
        "google",
    )
    # Ignore modules imported before the command: coverage, for one, reads its settings with tomllib.
    script = (
        "import sys; before = set(sys.modules); from cachedoctor.cli.main import cli; "
        f"print([m for m in {heavy} if m in sys.modules.keys() - before])"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert got.stdout.decode().strip() == "[]"


def test_reading_files_imports_no_registry_libraries() -> None:
    script = (
        "import sys; from cachedoctor.sources import load; load(sys.argv[1]); import cachedoctor.sources.layout; "
        "import cachedoctor.repairs.repair; print([m for m in ('certifi', 'urllib3') if m in sys.modules])"
    )
    got = subprocess.run([sys.executable, "-c", script, str(SERVICE)], capture_output=True, check=True)
    assert got.stdout.decode().strip() == "[]"


def test_json_goes_to_standard_output_only() -> None:
    got = run("analyze", "--format", "json", SERVICE)
    assert (got.returncode, got.stderr) == (0, b"")
    assert json.loads(got.stdout)["inputs"][0]["source"] == str(SERVICE)


def test_standard_input() -> None:
    got = run("analyze", "-", "--format", "json", stdin=SERVICE.read_bytes())
    assert json.loads(got.stdout)["inputs"][0]["records"] == 11


def test_exit_code_is_opt_in() -> None:
    assert run("analyze", DIAMONDS).returncode == 0
    assert run("analyze", DIAMONDS, "--exit-code").returncode == 1
    assert run("analyze", SERVICE, "--exit-code").returncode == 0


def test_buildkit_option_judges_for_one_version() -> None:
    got = run("analyze", FIXTURES / "manifests/diamond-28.json", "--buildkit", "v0.25.1", "-f", "json")
    assert json.loads(got.stdout)["verdict"] == "ok"
    got = run("analyze", SERVICE, "--buildkit", "latest")
    assert got.returncode == 2
    assert b"'--buildkit': 'latest' is not" in got.stderr


def test_output_replaces_a_file_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    target.chmod(0o640)
    got = run("analyze", SERVICE, "-f", "json", "-o", target)
    assert (got.returncode, got.stdout) == (0, b"")
    assert json.loads(target.read_text())["command"] == "analyze"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_never_overwrites_the_cache(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_bytes(SERVICE.read_bytes())
    got = run("analyze", file, "-o", tmp_path / "." / "cache.json")
    assert got.returncode == 2
    assert "is the cache itself" in one_line(got.stderr)
    assert file.read_bytes() == SERVICE.read_bytes()


def test_unwritable_output_gives_one_line(tmp_path: Path) -> None:
    got = run("analyze", SERVICE, "-o", tmp_path / "no" / "report.txt")
    assert got.returncode == 2
    assert "cannot write the report" in one_line(got.stderr)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"<html></html>",
        b'{"records": 7}',
        b'{"records": [{"digest": 1}]}',
        b"[" * 100_000,
        b'{"records": [{"inputs": [[{"link": 1e400}]]}]}',
        b'{"records": [{"digest": "\xff"}]}',
        SERVICE.read_bytes()[:-200],
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        os.urandom(4096),
    ],
)
def test_unreadable_input_gives_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(content)
    for arguments, stdin in (([file], None), (["-"], content)):
        got = run("analyze", *arguments, stdin=stdin)
        assert got.returncode == 2
        assert got.stdout == b""
        one_line(got.stderr)


def test_missing_file_gives_one_line_without_escape_codes(tmp_path: Path) -> None:
    got = run("analyze", tmp_path / "no\x1b[2J\nfile")
    assert got.returncode == 2
    assert "\x1b" not in one_line(got.stderr)


@pytest.mark.parametrize("names", [b"{}", b"", b"[", b"7"])
def test_invalid_names_file(names: bytes, tmp_path: Path) -> None:
    file = tmp_path / "names"
    file.write_bytes(names)
    got = run("analyze", SERVICE, "--names", file)
    assert got.returncode == 2
    one_line(got.stderr)


def test_names_label_the_records() -> None:
    got = run("analyze", SERVICE, "--names", FIXTURES / "debug/cache-all.json", "-f", "json")
    labels = {hotspot["label"] for hotspot in json.loads(got.stdout)["hotspots"]}
    assert {"RUN test -f /app", "COPY deps /deps"} <= labels


@pytest.mark.slow
def test_ascii_terminal_gets_ascii() -> None:
    ascii = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    got = run("analyze", FIXTURES / "manifests/too-large.json", env=ascii, process=True)
    assert got.returncode == 0
    assert got.stdout.isascii()


def test_piped_output_is_plain_and_80_columns_wide() -> None:
    lines = run("analyze", DIAMONDS, env={"TERM": "xterm-256color"}).stdout.decode().splitlines()
    assert max(len(line) for line in lines if not line.startswith(("     cachedoctor ", "     docker "))) <= 80
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(("env", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_terminal_gets_colors_unless_disabled(env: dict[str, str], colored: bool) -> None:
    ours, theirs = pty.openpty()
    base = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "analyze", str(SERVICE)],
        stdout=theirs,
        stderr=theirs,
        env={**base, "TERM": "xterm-256color", **env},
    ):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how a pseudo-terminal ends when its other side is closed
            pass
        os.close(ours)
    assert b"This cache is fine." in shown
    assert (b"\x1b[" in shown) is colored


def test_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -m cachedoctor analyze {SERVICE} | true"
    got = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert got.stderr == b""


@pytest.mark.parametrize(
    ("source", "option", "warning"),
    [
        ("manifests/service.json", ["--tag", "main"], "service.json: --tag "),
        ("manifests/service.json", ["--platform", "linux/arm"], "service.json: --platform "),
        ("layouts/v0.32.2-docker-list", ["--platform", "linux/arm"], "v0.32.2-docker-list: --platform "),
        ("layouts/v0.32.2-docker-list", ["--tag", "latest"], ""),
        ("layouts/v0.32.2-inline-multi-platform", ["--platform", "linux/arm64"], ""),
    ],
)
def test_warns_about_options_without_effect(source: str, option: list[str], warning: str) -> None:
    got = run("analyze", FIXTURES / source, *option, "--quiet")
    assert got.returncode == 0
    assert warning in got.stderr.decode()
    assert got.stderr.count(b"\n") == bool(warning)
