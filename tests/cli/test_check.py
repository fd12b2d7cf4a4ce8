"""The real `cachedoctor check`, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support import FIXTURES, document, record, run

MANIFESTS = FIXTURES / "manifests"
SERVICE = MANIFESTS / "service.json"
DIAMONDS = MANIFESTS / "diamond-28.json"
TAGS = (MANIFESTS / "tag-a.json", MANIFESTS / "tag-b.json")
LOOP = FIXTURES / "exporter-state/export-loop.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, the root of a repository, so that no settings from elsewhere count."""
    (tmp_path / ".git").mkdir()
    return tmp_path


def parsed(got: CompletedProcess[bytes]) -> dict[str, Any]:
    document = json.loads(got.stdout)
    assert isinstance(document, dict)
    return document


def one_line(got: CompletedProcess[bytes]) -> str:
    text = got.stderr.decode()
    assert got.returncode == 2
    assert got.stdout == b""
    assert text.count("\n") == 1, text
    return text


def diamonds(path: Path, count: int) -> Path:
    """A cache whose loop check makes 3 · 2ⁿ - 2 calls."""
    records = [record("root")]
    for index in range(count):
        last = len(records) - 1
        records += [record(f"run {index}", [last]), record(f"copy {index}", [last], [(last + 1, "/file")])]
    assert document(records)
    path.write_text(json.dumps({"records": records}))
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "failed"),
    [
        ([SERVICE], 0, []),
        ([DIAMONDS], 1, ["CD201"]),
        ([DIAMONDS, "--max-seconds", "300"], 0, []),
        ([DIAMONDS, "--max-seconds", "300", "--fail-on", "warning"], 1, ["CD201"]),
        ([DIAMONDS, "--buildkit", "v0.25.0"], 0, []),
        ([DIAMONDS, "--buildkit", "v0.25.0", "--max-calls", "1"], 0, []),
        ([SERVICE, "--max-calls", "30"], 1, ["CD201"]),
        ([SERVICE, "--max-calls", "31"], 0, []),
        ([SERVICE, "--max-bytes", "3091"], 0, []),
        ([SERVICE, "--max-bytes", "3kB"], 1, ["CD101"]),
        ([MANIFESTS / "too-large.json"], 1, ["CD101", "CD201"]),
        ([MANIFESTS / "too-large.json", "--max-bytes", "2MiB", "--ignore", "CD2"], 0, []),
        ([LOOP], 1, ["CD102"]),
        ([LOOP, "--select", "path-explosion,CD3"], 0, []),
        ([LOOP, "--fail-on", "note", "--select", "CD1"], 1, ["CD102"]),
    ],
)
def test_the_exit_code_is_the_judgement(arguments: list[Any], code: int, failed: list[str], folder: Path) -> None:
    got = run("check", *arguments, "--format", "json", cwd=folder)
    assert (got.returncode, got.stderr) == (code, b"")
    assert parsed(got)["failed"] == failed
    text = run("check", *arguments, cwd=folder)
    assert text.returncode == code
    assert text.stdout.decode().startswith("Check failed: " if code else "Check passed: ")


def test_standard_input_and_names(folder: Path) -> None:
    names = FIXTURES / "debug/cache-all.json"
    got = run("check", "-", "--names", names, "-f", "json", stdin=SERVICE.read_bytes(), cwd=folder)
    assert got.returncode == 0
    assert "RUN test -f /app" in {spot["label"] for spot in parsed(got)["hotspots"]}


def test_two_clean_tags_loop_together(folder: Path) -> None:
    for tag in TAGS:
        assert run("check", tag, "--fail-on", "warning", cwd=folder).returncode == 0
    got = run("check", *TAGS, "--fail-on", "warning", "-f", "json", cwd=folder)
    assert got.returncode == 1
    assert parsed(got)["judged"] == [
        {"source": str(TAGS[0]), "verdict": "ok", "failed": []},
        {"source": str(TAGS[1]), "verdict": "ok", "failed": []},
        {"source": "", "verdict": "warning", "failed": ["CD204"]},
    ]
    text = run("check", *TAGS, "--fail-on", "warning", cwd=folder).stdout.decode()
    assert text.splitlines()[0] == "Check failed: CD204 merge-loop in all sources together."


def test_nothing_is_told_twice(folder: Path) -> None:
    got = run("check", DIAMONDS, SERVICE, DIAMONDS, "-f", "json", cwd=folder)
    assert [(one["rule"], one["source"]) for one in parsed(got)["findings"] if one["severity"] == "error"] == [
        ("CD201", str(DIAMONDS))
    ]
    assert parsed(got)["cost"] == json.loads(run("analyze", DIAMONDS, SERVICE, "-f", "json").stdout)["cost"]


def test_every_run_writes_the_same_bytes(folder: Path) -> None:
    runs = {
        run("check", *TAGS, "-f", "json", cwd=folder, env={"PYTHONHASHSEED": str(seed)}).stdout for seed in range(6)
    }
    assert len(runs) == 1


def test_quiet_is_the_verdict_and_the_findings(folder: Path) -> None:
    text = run("check", DIAMONDS, "-q", cwd=folder).stdout.decode()
    assert text.startswith("Check failed: CD201 path-explosion.\n")
    assert "error CD201" in text
    assert "Limits" not in text


def settings(folder: Path, own: str = "", shared: str = "") -> None:
    if own:
        (folder / ".cachedoctor.toml").write_text(own)
    if shared:
        (folder / "pyproject.toml").write_text(shared)


@pytest.mark.parametrize(
    ("own", "shared", "flags", "expected"),
    [
        ("", "[tool.cachedoctor]\nmax-seconds = 5", [], 5.0),
        ("max-seconds = 6", "[tool.cachedoctor]\nmax-seconds = 5", [], 6.0),
        ("max-calls = 9", "[tool.cachedoctor]\nmax-seconds = 5", [], 60.0),
        ("max-seconds = 6.5", "", ["--max-seconds", "7"], 7.0),
        ("", "[tool.other]\nmax-seconds = 5", [], 60.0),
        ("", "", [], 60.0),
    ],
)
def test_flags_win_over_files(own: str, shared: str, flags: list[str], expected: float, folder: Path) -> None:
    settings(folder, own, shared)
    got = run("check", SERVICE, "-f", "json", *flags, cwd=folder)
    assert parsed(got)["limits"]["max_seconds"] == expected


def test_every_setting_counts(folder: Path) -> None:
    settings(
        folder,
        'format = "json"\nmax-calls = 5\nmax-bytes = "2kB"\nbuildkit = "v0.21.1"\nfail-on = "warning"\n'
        'select = ["CD1", "CD201"]\nignore = "CD106"\nstep-summary = true\nbaseline = "base.json"\nnames = "names"\n',
    )
    (folder / "names").write_bytes((FIXTURES / "debug/cache-all.json").read_bytes())
    (folder / "base.json").write_text('{"cachedoctor_baseline": 1, "findings": []}')
    below = folder / "below"
    below.mkdir()
    got = run("check", SERVICE, cwd=below, env={"GITHUB_STEP_SUMMARY": str(folder / "summary.md")})
    assert got.returncode == 1
    assert parsed(got)["limits"] == {
        "max_seconds": 60.0,
        "max_calls": "5",
        "max_bytes": 2000,
        "buildkit": "v0.21.1",
        "fail_on": "warning",
        "rules": ["CD101", "CD102", "CD103", "CD104", "CD105", "CD201"],
    }
    assert parsed(got)["baseline"] == {"file": str(folder / "base.json"), "known": 0}
    assert any(spot["label"] for spot in parsed(got)["hotspots"])
    assert (folder / "summary.md").read_text().startswith("**Check failed: CD101")


def test_settings_above_the_root_of_the_repository_do_not_count(tmp_path: Path) -> None:
    settings(tmp_path, "max-calls = 1")
    inner = tmp_path / "repository"
    (inner / ".git").mkdir(parents=True)
    assert run("check", SERVICE, cwd=inner).returncode == 0
    lone = tmp_path / "lone"
    lone.mkdir()
    assert run("check", SERVICE, cwd=lone).returncode == 0
    assert run("check", SERVICE, cwd=tmp_path).returncode == 1


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "$1" && rmdir "$1" && exec {sys.executable} -m cachedoctor check "$2"'
    got = subprocess.run(["bash", "-c", command, "-", gone, SERVICE], capture_output=True, check=False)
    assert "cannot look for settings" in one_line(got)


def test_a_named_file_of_settings_wins(folder: Path) -> None:
    settings(folder, "max-calls = 1")
    (folder / "other.toml").write_text("max-calls = 1000")
    assert run("check", SERVICE, "--config", "other.toml", cwd=folder).returncode == 0
    assert "cannot read the settings" in one_line(run("check", SERVICE, "--config", "none.toml", cwd=folder))
    (folder / "pyproject.toml").write_text("[tool.x]\n")
    assert "has no table [tool.cachedoctor]" in one_line(
        run("check", SERVICE, "--config", "pyproject.toml", cwd=folder)
    )


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("max_second = 5", "max_second: no such setting; did you mean max-seconds?"),
        ("max-seconds = '5'", "max-seconds: expected a number"),
        ("max-calls = true", "max-calls: expected a whole number"),
        ("max-calls = 0", "max-calls: 0 is not in the range"),
        ("max-seconds = nan", "max-seconds: nan is no number of seconds"),
        ("max-bytes = 'big'", "max-bytes: 'big' is no size"),
        ("fail-on = 'fatal'", "fail-on: 'fatal' is not one of"),
        ("format = 'html'", "format: 'html' is not one of"),
        ("buildkit = 'new'", "no BuildKit version"),
        ("select = ['CD9']", "select: 'CD9' names no rule; did you mean CD"),
        ("select = [1]", "select: expected rules"),
        ("step-summary = 1", "step-summary: expected true or false"),
        ("max-calls 5", "expected TOML"),
        ("\xff", "expected TOML"),
    ],
)
def test_bad_settings_are_one_line(own: str, told: str, folder: Path) -> None:
    (folder / ".cachedoctor.toml").write_bytes(own.encode("latin-1"))
    assert told in one_line(run("check", SERVICE, cwd=folder))


def test_a_table_that_is_none(folder: Path) -> None:
    settings(folder, shared="[tool]\ncachedoctor = 7")
    assert "expected a table" in one_line(run("check", SERVICE, cwd=folder))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--select", "CD9"], "did you mean CD"),
        (["--ignore", "path-explosoin"], "did you mean path-explosion?"),
        (["--select", "CD1,,CD2"], "names no rule"),
        (["--select", "CD2", "--ignore", "CD2"], "no rule is left"),
        (["--fail-on", "fatal"], "is not one of"),
        (["--max-seconds", "-1"], "no number of seconds"),
        (["--max-seconds", "inf"], "no number of seconds"),
        (["--max-calls", "0"], "not in the range"),
        (["--max-bytes", "999999999999999GiB"], "is no size"),
        (["--buildkit", "latest"], "no BuildKit version"),
        (["--format", "html"], "is not one of"),
    ],
)
def test_bad_usage(arguments: Sequence[str], told: str, folder: Path) -> None:
    got = run("check", SERVICE, *arguments, cwd=folder)
    assert got.returncode == 2
    assert got.stdout == b""
    assert told in got.stderr.decode()


def test_unreadable_input_is_one_line_and_writes_nothing(folder: Path) -> None:
    (folder / "bad.json").write_text("{")
    got = run("check", "bad.json", "--write-baseline", "base.json", "-o", "report.txt", cwd=folder)
    assert "bad.json" in one_line(got)
    assert {path.name for path in folder.iterdir()} == {".git", "bad.json"}


def test_the_cache_is_not_written_over(folder: Path) -> None:
    cache = folder / "cache.json"
    cache.write_bytes(SERVICE.read_bytes())
    for option in ("--output", "--write-baseline"):
        assert "is the cache itself" in one_line(run("check", cache, option, cache, cwd=folder))
    assert cache.read_bytes() == SERVICE.read_bytes()


def test_an_old_cache_passes_while_nothing_gets_worse(folder: Path) -> None:
    base = ("--baseline", "base.json")
    diamonds(folder / "cache.json", 30)
    assert run("check", "cache.json", cwd=folder).returncode == 1
    written = run("check", "cache.json", "--write-baseline", "base.json", cwd=folder)
    assert (written.returncode, written.stderr) == (0, b"")
    assert "known: not worse than in the baseline" in " ".join(written.stdout.decode().split())
    kept = json.loads((folder / "base.json").read_text())
    assert kept["findings"][0]["value"] == str(3 * 2**30 - 2)
    same = run("check", "cache.json", *base, "-f", "json", cwd=folder)
    assert same.returncode == 0
    assert [one["known"] for one in parsed(same)["findings"]] == [True]
    assert parsed(same)["baseline"] == {"file": "base.json", "known": 1}
    assert parsed(same)["verdict"] == "error"
    diamonds(folder / "cache.json", 31)
    worse = run("check", "cache.json", *base, cwd=folder)
    assert worse.returncode == 1
    assert worse.stdout.decode().startswith("Check failed: CD201 path-explosion.")
    diamonds(folder / "cache.json", 29)
    assert run("check", "cache.json", *base, cwd=folder).returncode == 0
    assert run("check", "cache.json", *base, "--max-bytes", "9", cwd=folder).returncode == 1


def test_a_new_baseline_is_not_what_an_old_one_is_judged_by(folder: Path) -> None:
    diamonds(folder / "cache.json", 30)
    run("check", "cache.json", "--write-baseline", "base.json", cwd=folder)
    diamonds(folder / "cache.json", 31)
    both = ("--baseline", "base.json", "--write-baseline", "base.json")
    assert run("check", "cache.json", *both, cwd=folder).returncode == 1
    assert run("check", "cache.json", *both, cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected the JSON of a baseline"),
        (b"[]", "expected the JSON of a baseline"),
        (b"[" * 100_000, "expected the JSON of a baseline"),
        (b'{"records": []}', "expected the JSON of a baseline"),
        (b'{"cachedoctor_baseline": 2}', "expected version 1"),
        (b'{"cachedoctor_baseline": 1}', "findings: expected a list"),
        (b'{"cachedoctor_baseline": 1, "findings": [7]}', "findings[0]: expected source"),
        (
            b'{"cachedoctor_baseline": 1, "findings": [{"source": "", "rule": "CD201", "severity": "error", '
            b'"unit": "calls", "value": 7, "exact": true}]}',
            "findings[0]: expected source",
        ),
    ],
)
def test_a_baseline_that_is_none(content: bytes, told: str, folder: Path) -> None:
    (folder / "base.json").write_bytes(content)
    assert told in one_line(run("check", SERVICE, "--baseline", "base.json", cwd=folder))


def test_baselines_that_cannot_be_read_or_written(folder: Path) -> None:
    assert "cannot read the baseline" in one_line(run("check", SERVICE, "--baseline", "none", cwd=folder))
    assert "cannot write the baseline" in one_line(run("check", SERVICE, "--write-baseline", "no/base", cwd=folder))


def test_the_step_summary_is_appended_to(folder: Path) -> None:
    summary = folder / "summary.md"
    summary.write_text("# Before\n")
    got = run("check", DIAMONDS, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert (got.returncode, got.stderr) == (1, b"")
    assert summary.read_text().startswith("# Before\n**Check failed: CD201 path-explosion.**\n")


def test_without_a_step_summary_there_is_a_warning(folder: Path) -> None:
    got = run("check", SERVICE, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": ""})
    assert got.returncode == 0
    assert got.stderr.decode().splitlines() == [
        "cachedoctor: there is no step summary to append to: GITHUB_STEP_SUMMARY is not set"
    ]
    unwritable = run("check", SERVICE, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(folder)})
    assert unwritable.returncode == 0
    assert "cannot write the step summary" in unwritable.stderr.decode()
