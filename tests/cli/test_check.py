"""`cachedoctor check`: limits, settings, baselines, and where it reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.registries import push
from tests.report.rendered import OF_ANALYSES
from tests.servers import Server
from tests.sources.layouts import IMAGE_MANIFEST
from tests.sources.tiny_registry import TinyRegistry
from tests.support import FIXTURES, document, record, run

MANIFESTS = FIXTURES / "manifests"
SERVICE = MANIFESTS / "service.json"
DIAMONDS = MANIFESTS / "diamond-28.json"
TAGS = (MANIFESTS / "tag-a.json", MANIFESTS / "tag-b.json")
LOOP = FIXTURES / "exporter-state/export-loop.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that is the root of a repository, so that no settings from elsewhere apply."""
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
    """A cache for which the loop check makes 3 · 2ⁿ - 2 calls."""
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
        ([MANIFESTS / "too-large.json"], 1, ["CD101", "CD107", "CD201"]),
        ([MANIFESTS / "too-large.json", "--max-bytes", "2MiB", "--ignore", "CD107,CD2"], 0, []),
        pytest.param([LOOP], 1, ["CD102"], marks=pytest.mark.slow),
        pytest.param([LOOP, "--select", "path-explosion,CD3"], 0, [], marks=pytest.mark.slow),
        pytest.param([LOOP, "--fail-on", "note", "--select", "CD1"], 1, ["CD102"], marks=pytest.mark.slow),
    ],
)
def test_exit_code_tells_the_verdict(arguments: list[Any], code: int, failed: list[str], folder: Path) -> None:
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
    assert "RUN test -f /app" in {hotspot["label"] for hotspot in parsed(got)["hotspots"]}


def test_two_clean_tags_loop_together(folder: Path) -> None:
    for tag in TAGS:
        assert run("check", tag, "--fail-on", "warning", cwd=folder).returncode == 0
    got = run("check", *TAGS, "--fail-on", "warning", "-f", "json", cwd=folder)
    assert got.returncode == 1
    assert [(judged["source"], judged["verdict"], judged["failed"]) for judged in parsed(got)["judged"]] == [
        (str(TAGS[0]), "ok", []),
        (str(TAGS[1]), "ok", []),
        ("", "warning", ["CD204"]),
    ]
    text = run("check", *TAGS, "--fail-on", "warning", cwd=folder).stdout.decode()
    assert text.splitlines()[0] == "Check failed: CD204 merge-loop in all sources together."


def test_repeated_sources_are_reported_once(folder: Path) -> None:
    got = run("check", DIAMONDS, SERVICE, DIAMONDS, "-f", "json", cwd=folder)
    errors = [finding for finding in parsed(got)["findings"] if finding["severity"] == "error"]
    assert [(error["rule"], error["source"]) for error in errors] == [("CD201", str(DIAMONDS))]
    assert parsed(got)["cost"] == json.loads(run("analyze", DIAMONDS, SERVICE, "-f", "json").stdout)["cost"]


@pytest.mark.slow
def test_output_does_not_depend_on_the_hash_seed(folder: Path) -> None:
    seeds = [{"PYTHONHASHSEED": str(seed)} for seed in range(6)]
    reports = {run("check", *TAGS, "-f", "json", cwd=folder, env=seed, process=True).stdout for seed in seeds}
    assert len(reports) == 1


def test_quiet_shows_verdict_and_findings_only(folder: Path) -> None:
    text = run("check", DIAMONDS, "-q", cwd=folder).stdout.decode()
    assert text.startswith("Check failed: CD201 path-explosion.\n")
    assert "error CD201" in text
    assert "Limits" not in text


def settings(folder: Path, text: str = "", shared: str = "") -> None:
    if text:
        (folder / ".cachedoctor.toml").write_text(text)
    if shared:
        (folder / "pyproject.toml").write_text(shared)


@pytest.mark.parametrize(
    ("text", "shared", "flags", "expected"),
    [
        ("", "[tool.cachedoctor]\nmax-seconds = 5", [], 5.0),
        ("max-seconds = 6", "[tool.cachedoctor]\nmax-seconds = 5", [], 6.0),
        ("max-calls = 9", "[tool.cachedoctor]\nmax-seconds = 5", [], 60.0),
        ("max-seconds = 6.5", "", ["--max-seconds", "7"], 7.0),
        ("", "[tool.other]\nmax-seconds = 5", [], 60.0),
        ("", "", [], 60.0),
    ],
)
def test_flags_override_settings_files(text: str, shared: str, flags: list[str], expected: float, folder: Path) -> None:
    settings(folder, text, shared)
    got = run("check", SERVICE, "-f", "json", *flags, cwd=folder)
    assert parsed(got)["limits"]["max_seconds"] == expected


def test_every_setting_is_applied(folder: Path) -> None:
    settings(
        folder,
        'format = "json"\nmax-calls = 5\nmax-bytes = "2kB"\nbuildkit = "v0.21.1"\nfail-on = "warning"\n'
        'select = ["CD1", "CD201"]\nignore = "CD106,CD107"\n'
        'step-summary = true\nbaseline = "base.json"\nnames = "names"\n',
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
        "min_hits": None,
        "buildkit": "v0.21.1",
        "fail_on": "warning",
        "rules": ["CD101", "CD102", "CD103", "CD104", "CD105", "CD201"],
    }
    assert parsed(got)["baseline"] == {"file": str(folder / "base.json"), "known": 0}
    assert any(hotspot["label"] for hotspot in parsed(got)["hotspots"])
    assert (folder / "summary.md").read_text().startswith("**cachedoctor check:** Check failed: CD101")


def test_settings_outside_the_repository_are_ignored(tmp_path: Path) -> None:
    settings(tmp_path, "max-calls = 1")
    inner = tmp_path / "repository"
    (inner / ".git").mkdir(parents=True)
    assert run("check", SERVICE, cwd=inner).returncode == 0
    lone = tmp_path / "lone"
    lone.mkdir()
    assert run("check", SERVICE, cwd=lone).returncode == 0
    assert run("check", SERVICE, cwd=tmp_path).returncode == 1


def test_deleted_working_directory_gives_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f'cd "$1" && rmdir "$1" && exec {sys.executable} -m cachedoctor check "$2"'
    got = subprocess.run(["bash", "-c", command, "-", gone, SERVICE], capture_output=True, check=False)
    assert "cannot look for settings" in one_line(got)


def test_config_option_overrides_the_settings_found(folder: Path) -> None:
    settings(folder, "max-calls = 1")
    (folder / "other.toml").write_text("max-calls = 1000")
    assert run("check", SERVICE, "--config", "other.toml", cwd=folder).returncode == 0
    assert "cannot read the settings" in one_line(run("check", SERVICE, "--config", "none.toml", cwd=folder))
    (folder / "pyproject.toml").write_text("[tool.x]\n")
    assert "has no table [tool.cachedoctor]" in one_line(
        run("check", SERVICE, "--config", "pyproject.toml", cwd=folder)
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_second = 5", "max_second: unknown setting; did you mean max-seconds?"),
        ("xyz = 5", "xyz: unknown setting; expected one of baseline, before, build"),
        (
            "plain-http = true",
            "plain-http: cannot be a setting, because a branch could redirect credentials; use --plain-http",
        ),
        ("ca-file = 'x'", "ca-file: cannot be a setting, because a branch could redirect credentials; use --ca-file"),
        ('names = "a\\u0000b"', "names: expected a file name, without a NUL"),
        ('tag = "a\\u0000b"', "tag: expected a tag, without a NUL"),
        ('select = ["a\\u0000b"]', "without a NUL"),
        ("missing-ok = 1", "missing-ok: expected true or false"),
        ("max-seconds = '5'", "max-seconds: expected a number"),
        ("max-calls = true", "max-calls: expected a whole number"),
        ("max-calls = 0", "max-calls: 0 is not in the range"),
        ("max-seconds = nan", "max-seconds: nan is not"),
        ("max-bytes = 'big'", "max-bytes: 'big' is not"),
        ("fail-on = 'fatal'", "fail-on: 'fatal' is not"),
        ("format = 'html'", "format: 'html' is not"),
        ("buildkit = 'new'", "buildkit: 'new' is not"),
        ("select = ['CD9']", "select: 'CD9' names no rule; did you mean CD"),
        ("select = [1]", "select: expected rules"),
        ("step-summary = 1", "step-summary: expected true or false"),
        ("max-calls 5", "expected TOML"),
        ("\xff", "expected TOML"),
    ],
)
def test_bad_settings_give_one_line(text: str, reason: str, folder: Path) -> None:
    (folder / ".cachedoctor.toml").write_bytes(text.encode("latin-1"))
    assert reason in one_line(run("check", SERVICE, cwd=folder))


def test_settings_that_are_not_a_table(folder: Path) -> None:
    settings(folder, shared="[tool]\ncachedoctor = 7")
    assert "expected a table" in one_line(run("check", SERVICE, cwd=folder))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--select", "CD9"], "did you mean CD"),
        (["--ignore", "path-explosoin"], "did you mean path-explosion?"),
        (["--select", "CD1,,CD2"], "names no rule"),
        (["--select", "CD2", "--ignore", "CD2"], "no rule is left"),
        (["--fail-on", "fatal"], "'--fail-on': 'fatal' is not"),
        (["--max-seconds", "-1"], "'--max-seconds': -1.0 is not"),
        (["--max-seconds", "inf"], "'--max-seconds': inf is not"),
        (["--max-calls", "0"], "not in the range"),
        (["--max-bytes", "999999999999999GiB"], "'--max-bytes': '999999999999999GiB' is not"),
        (["--buildkit", "latest"], "'--buildkit': 'latest' is not"),
        (["--format", "html"], "'--format' / '-f': 'html' is not"),
    ],
)
def test_bad_usage(arguments: Sequence[str], reason: str, folder: Path) -> None:
    got = run("check", SERVICE, *arguments, cwd=folder)
    assert got.returncode == 2
    assert got.stdout == b""
    assert reason in got.stderr.decode()


def test_unreadable_input_gives_one_line_and_writes_nothing(folder: Path) -> None:
    (folder / "bad.json").write_text("{")
    got = run("check", "bad.json", "--write-baseline", "base.json", "-o", "report.txt", cwd=folder)
    assert "bad.json" in one_line(got)
    assert {path.name for path in folder.iterdir()} == {".git", "bad.json"}


def test_never_writes_over_the_cache(folder: Path) -> None:
    cache = folder / "cache.json"
    cache.write_bytes(SERVICE.read_bytes())
    for option in ("--output", "--write-baseline"):
        assert "is the cache itself" in one_line(run("check", cache, option, cache, cwd=folder))
    assert cache.read_bytes() == SERVICE.read_bytes()


def test_baseline_accepts_an_old_cache_until_it_gets_worse(folder: Path) -> None:
    base = ("--baseline", "base.json")
    diamonds(folder / "cache.json", 30)
    assert run("check", "cache.json", cwd=folder).returncode == 1
    written = run("check", "cache.json", "--write-baseline", "base.json", cwd=folder)
    assert (written.returncode, written.stderr) == (0, b"")
    assert "known" in written.stdout.decode()
    kept = json.loads((folder / "base.json").read_text())
    assert kept["findings"][0]["value"] == str(3 * 2**30 - 2)
    same = run("check", "cache.json", *base, "-f", "json", cwd=folder)
    assert same.returncode == 0
    assert [finding["known"] for finding in parsed(same)["findings"]] == [True]
    assert parsed(same)["baseline"] == {"file": "base.json", "known": 1}
    assert parsed(same)["verdict"] == "error"
    diamonds(folder / "cache.json", 31)
    worse = run("check", "cache.json", *base, cwd=folder)
    assert worse.returncode == 1
    assert worse.stdout.decode().startswith("Check failed: CD201 path-explosion.")
    diamonds(folder / "cache.json", 29)
    assert run("check", "cache.json", *base, cwd=folder).returncode == 0
    assert run("check", "cache.json", *base, "--max-bytes", "9", cwd=folder).returncode == 1


def test_failing_check_keeps_the_old_baseline(folder: Path) -> None:
    diamonds(folder / "cache.json", 30)
    run("check", "cache.json", "--write-baseline", "base.json", cwd=folder)
    diamonds(folder / "cache.json", 31)
    old = (folder / "base.json").read_bytes()
    both = ("--baseline", "base.json", "--write-baseline", "base.json")
    for _ in range(2):
        got = run("check", "cache.json", *both, cwd=folder)
        assert got.returncode == 1
        assert got.stderr.decode().startswith("cachedoctor: base.json: ")
        assert got.stderr.count(b"\n") == 1
    assert (folder / "base.json").read_bytes() == old
    assert run("check", "cache.json", *both[:3], "new.json", cwd=folder).returncode == 1
    assert str(3 * 2**31 - 2) in (folder / "new.json").read_text()
    diamonds(folder / "cache.json", 29)
    assert run("check", "cache.json", *both, cwd=folder).returncode == 0
    assert str(3 * 2**29 - 2) in (folder / "base.json").read_text()


@pytest.mark.parametrize(
    ("content", "reason"),
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
        (
            b'{"cachedoctor_baseline": 1, "findings": [{"source": "", "rule": "CD201", "severity": "error", '
            b'"unit": "calls", "value": "' + b"9" * 1_000_001 + b'", "exact": true}]}',
            "findings[0]: expected source",
        ),
    ],
    ids=range(9),
)
def test_invalid_baseline(content: bytes, reason: str, folder: Path) -> None:
    (folder / "base.json").write_bytes(content)
    assert reason in one_line(run("check", SERVICE, "--baseline", "base.json", cwd=folder))


def test_unreadable_and_unwritable_baselines(folder: Path) -> None:
    assert "cannot read the baseline" in one_line(run("check", SERVICE, "--baseline", "none", cwd=folder))
    assert "cannot write the baseline" in one_line(run("check", SERVICE, "--write-baseline", "no/base", cwd=folder))


def test_appends_to_the_step_summary(folder: Path) -> None:
    summary = folder / "summary.md"
    summary.write_text("# Before\n")
    got = run("check", DIAMONDS, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert (got.returncode, got.stderr) == (1, b"")
    assert summary.read_text().startswith("# Before\n**cachedoctor check:** Check failed: CD201 path-explosion.\n")


def test_warns_without_a_step_summary(folder: Path) -> None:
    got = run("check", SERVICE, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": ""})
    assert got.returncode == 0
    assert re.fullmatch(r"cachedoctor: .*GITHUB_STEP_SUMMARY is not set\n", got.stderr.decode())
    unwritable = run("check", SERVICE, "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(folder)})
    assert unwritable.returncode == 0
    assert "cannot write the step summary" in unwritable.stderr.decode()
    settings(folder, "step-summary = true")
    quiet = run("check", SERVICE, cwd=folder, env={"GITHUB_STEP_SUMMARY": ""})
    assert (quiet.returncode, quiet.stderr) == (0, b"")


@pytest.mark.parametrize("option", ["--baseline", "--config"])
def test_does_not_wait_for_a_pipe(option: str, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "pipe: " in one_line(run("check", SERVICE, option, "pipe", cwd=folder))


# Files that are read and files that are written


def test_no_file_overwrites_another(folder: Path) -> None:
    for name, source in (("cache", SERVICE), ("names", FIXTURES / "debug/cache-all.json")):
        (folder / name).write_bytes(source.read_bytes())
    (folder / "base").write_text('{"cachedoctor_baseline": 1, "findings": []}')
    (folder / "certificates").write_text("x")
    (folder / ".cachedoctor.toml").write_text("max-seconds = 5\n")
    (folder / "link").symlink_to("base")
    reads = ("--names", "names", "--ca-file", "certificates", "--baseline", "base")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for writes, reason in (
        (["-o", "cache"], "cache: is the cache itself; write the report elsewhere"),
        (["-o", "names"], "names: is the record of a build itself; write the report elsewhere"),
        (["-o", "certificates"], "certificates: is the file of certificates itself"),
        (["-o", ".cachedoctor.toml"], ".cachedoctor.toml: is the file of settings itself"),
        (["-o", "base"], "base: is the baseline itself; write the report elsewhere"),
        (["-o", "link"], "link: is the baseline itself; write the report elsewhere"),
        (["--write-baseline", "cache"], "cache: is the cache itself; write the baseline elsewhere"),
        (["--write-baseline", ".cachedoctor.toml"], "is the file of settings itself; write the baseline elsewhere"),
        (["-o", "new", "--write-baseline", "new"], "new: is the report itself; write the baseline elsewhere"),
        (["-o", "new", "--step-summary"], "new: is the report itself; write the step summary elsewhere"),
        (["--write-baseline", "./new", "--step-summary"], "new: is the baseline itself; write the step summary"),
    ):
        got = run("check", "cache", *reads, *writes, cwd=folder, env={"GITHUB_STEP_SUMMARY": "new"})
        assert reason in one_line(got)
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before, writes
    got = run("check", "cache", "--step-summary", cwd=folder, env={"GITHUB_STEP_SUMMARY": "cache"})
    assert "cache: is the cache itself; write the step summary elsewhere" in one_line(got)
    for name, what in (("cache", "cache"), ("names", "record of a build"), ("certificates", "file of certificates")):
        assert f"is the {what} itself" in one_line(run("analyze", "cache", *reads[:4], "-o", name, cwd=folder))
    with (folder / "cache").open("rb") as stdin:
        command = [sys.executable, "-m", "cachedoctor", "check", "-", "-o", "cache"]
        piped = subprocess.run(command, stdin=stdin, capture_output=True, cwd=folder, check=False)
    assert "cache: is the cache itself" in one_line(piped)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_never_writes_into_a_layout(folder: Path) -> None:
    cache = Path(shutil.copytree(IMAGE_MANIFEST, folder / "cache"))
    blob = next(path for path in cache.rglob("*") if path.parent.name == "sha256")
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    for source in ("cache", "oci:cache", "oci:cache:latest"):
        for name in ("cache/index.json", "cache/oci-layout", blob):
            assert "is the cache itself" in one_line(run("check", source, "-o", name, cwd=folder))
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
    assert run("check", "cache", "-o", "cache/report.txt", cwd=folder).returncode in (0, 1)


def test_devices_may_be_given_twice(folder: Path) -> None:
    got = run("check", SERVICE, "-o", "/dev/null", "--write-baseline", "/dev/null", cwd=folder)
    assert (got.returncode, got.stderr) == (0, b"")


# Flags win over settings


@pytest.mark.parametrize(
    ("text", "flags", "limit", "expected"),
    [
        ('buildkit = "v0.21.1"', ["--buildkit", "all"], "buildkit", None),
        ('buildkit = "all"', [], "buildkit", None),
        ("max-calls = 9", ["--max-calls", "none"], "max_calls", None),
        ("max-calls = 9", ["--max-calls", "10"], "max_calls", "10"),
    ],
)
def test_flags_can_undo_settings(text: str, flags: list[str], limit: str, expected: Any, folder: Path) -> None:
    settings(folder, text)
    assert parsed(run("check", SERVICE, "-f", "json", *flags, cwd=folder))["limits"][limit] == expected


def test_flags_can_undo_settings_that_name_files(folder: Path) -> None:
    settings(folder, 'baseline = "none"\nnames = "none"\nstep-summary = true\ntag = "x"\nmissing-ok = true\n')
    summary = folder / "summary.md"
    flags = ("--baseline", "", "--names", "", "--no-step-summary", "--tag", "", "--no-missing-ok")
    got = run("check", SERVICE, *flags, cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert (got.returncode, got.stderr) == (0, b"")
    assert not summary.exists()
    assert run("check", "none.json", *flags, cwd=folder).returncode == 2


def test_creates_the_baseline_that_settings_name(folder: Path) -> None:
    settings(folder, 'baseline = "base.json"')
    assert "cannot read the baseline" in one_line(run("check", DIAMONDS, cwd=folder))
    assert run("check", DIAMONDS, "--write-baseline", "base.json", cwd=folder).returncode == 0
    assert run("check", DIAMONDS, cwd=folder).returncode == 0
    both = ("--baseline", "none.json", "--write-baseline", "none.json")
    assert "cannot read the baseline" in one_line(run("check", DIAMONDS, *both, cwd=folder))


def test_tag_in_the_source_overrides_the_setting(folder: Path) -> None:
    with Server(TinyRegistry()) as server:
        push(server.address, IMAGE_MANIFEST, "app", "cache")
        source = f"docker://{server.address}/app"
        settings(folder, 'tag = "other"')
        assert "no tag 'other'" in one_line(run("check", source, cwd=folder))
        assert run("check", f"{source}:cache", cwd=folder).returncode != 2
        assert run("check", source, "--tag", "cache", cwd=folder).returncode != 2
        assert "leave one out" in one_line(run("check", f"{source}:cache", "--tag", "other", cwd=folder))
        assert "names no repository" in one_line(run("check", f"docker://{server.address}/A", cwd=folder))


# Caches that do not exist yet


@pytest.mark.parametrize("source", ["none.json", "oci:none", "oci:none:main", "oci:cache:none", "none/none"])
def test_no_cache_yet(source: str, folder: Path) -> None:
    shutil.copytree(IMAGE_MANIFEST, folder / "cache")
    assert source in one_line(run("check", source, cwd=folder))
    got = run("check", source, source, "--missing-ok", cwd=folder)
    assert got.returncode == 0
    assert got.stdout.decode().splitlines() == [
        "Check passed: no errors.",
        "There is no cache yet.",
        f"Not there yet: {source}.",
    ]
    assert got.stderr.decode().startswith(f"cachedoctor: {source}: no cache yet: ")
    assert got.stderr.count(b"\n") == 1
    settings(folder, "missing-ok = true")
    assert run("check", source, cwd=folder).returncode == 0


def test_missing_cache_does_not_hide_other_findings(folder: Path) -> None:
    got = run("check", "none.json", DIAMONDS, "--missing-ok", "-f", "json", cwd=folder)
    assert got.returncode == 1
    assert parsed(got)["missing"] == ["none.json"]
    assert [judged["source"] for judged in parsed(got)["judged"]] == [str(DIAMONDS)]
    summary = folder / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    run("check", "none.json", "--missing-ok", "--step-summary", cwd=folder, env=env)
    assert "There is no cache yet." in summary.read_text()


@pytest.mark.parametrize("format", OF_ANALYSES)
def test_every_format_reports_a_missing_cache(format: str, folder: Path) -> None:
    got = run("check", "none.json", "--missing-ok", "-f", format, "-o", "report", cwd=folder)
    assert got.returncode == 0
    assert (folder / "report").stat().st_size > 1


def test_unreadable_caches_are_not_missing(folder: Path) -> None:
    (folder / "bad.json").write_text("{")
    (folder / "folder").mkdir()
    (folder / "folder/other").touch()
    for source in ("bad.json", "folder", "bad.json/x", ""):
        one_line(run("check", source, "--missing-ok", cwd=folder))
    assert "none" in one_line(run("check", SERVICE, "--missing-ok", "--names", "none", cwd=folder))


# Why nothing was judged


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none\n%.json"], "none\\u{a}%25.json: cannot read it: No such file or directory"),
        ([str(SERVICE), "--baseline", "none"], "none: cannot read the baseline: No such file or directory"),
        ([str(SERVICE), "--max-calls", "0"], "Invalid value for '--max-calls': 0 is not in the range x>=1."),
        ([str(SERVICE), "-o", "no/report"], "no/report: cannot write the report: No such file or directory"),
        ([str(SERVICE), "--config", "bad"], "bad: x: unknown setting; expected one of"),
        ([], "Missing argument 'SOURCE...'."),
    ],
)
@pytest.mark.parametrize("format", [["--format", "github"], ["--format=github"], ["-f", "github"]])
def test_reason_is_shown_where_people_look(arguments: list[str], reason: str, format: list[str], folder: Path) -> None:
    (folder / "bad").write_text("x = 1")
    summary = folder / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    got = run("check", *arguments, *format, "--step-summary", cwd=folder, env=env)
    assert got.returncode == 2
    assert got.stdout.decode().startswith(f"::error title=cachedoctor::{reason}")
    assert got.stdout.count(b"\n") == 1
    assert summary.read_text().startswith("**cachedoctor could not judge:** ")
    assert run("check", *arguments, "--step-summary", cwd=folder, env=env).stdout == b""


def test_settings_choose_where_the_reason_is_shown(folder: Path) -> None:
    settings(folder, 'format = "github"\nstep-summary = true')
    summary = folder / "summary.md"
    got = run("check", "none.json", cwd=folder, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert got.stdout.startswith(b"::error title=cachedoctor::none.json: ")
    assert "none" in summary.read_text()


# Foreign text and the runner of GitHub Actions


def test_foreign_text_never_becomes_a_workflow_command(folder: Path) -> None:
    github = {"GITHUB_ACTIONS": "true"}
    name = "##[set-output name=verdict;]passed"
    for arguments in ([name], [SERVICE, f"--{name}"], [SERVICE, "--fail-on", name]):
        got = run("check", *arguments, cwd=folder, env=github)
        assert got.returncode == 2
        assert b"##[" not in got.stderr
        assert b"## [set-output" in got.stderr
    (folder / "::error::x.json").write_bytes(SERVICE.read_bytes())
    (folder / name).write_bytes(SERVICE.read_bytes())
    for command in ("check", "analyze"):
        for format in OF_ANALYSES:
            env = {**github, "COLUMNS": "40"}
            text = run(command, "::error::x.json", name, "-f", format, cwd=folder, env=env).stdout.decode()
            lines = [line for line in text.splitlines() if line.lstrip().startswith("::")]
            assert [line for line in lines if format != "github" or " title=CD" not in line] == []
            assert "##[" not in text
    plain = run("check", name, "::error::x.json", cwd=folder).stdout.decode()
    assert name in plain


def test_completion_ignores_broken_settings(folder: Path) -> None:
    settings(folder, "nonsense = 1")
    env = {"_CACHEDOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": "cachedoctor check --fail", "COMP_CWORD": "2"}
    got = run(cwd=folder, env=env)
    assert (got.stdout, got.stderr) == (b"plain,--fail-on\n", b"")


def test_sizes_take_ascii_digits_only(folder: Path) -> None:
    assert "'--max-bytes': '١' is not" in run("check", SERVICE, "--max-bytes", "١", cwd=folder).stderr.decode()


def test_partial_check_never_calls_a_cache_fine() -> None:
    assert b"This cache is fine." not in run("check", DIAMONDS, "--ignore", "CD2").stdout
    assert b"This cache is fine." in run("check", SERVICE).stdout
