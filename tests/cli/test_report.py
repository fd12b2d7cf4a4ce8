"""`cachedoctor analyze --report DIR`: what it writes, says and refuses."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachedoctor.report import upstream
from cachedoctor.sources import load
from tests.sources.layouts import MANIFEST_LIST
from tests.support import FIXTURES, run

DIAMONDS = FIXTURES / "manifests/diamond-20.json"
TAGS = [FIXTURES / "manifests/tag-a.json", FIXTURES / "manifests/tag-b.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_writes_a_folder_and_says_so(tmp_path: Path) -> None:
    usual = run("analyze", DIAMONDS).stdout.decode()
    got = run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)
    assert (got.returncode, got.stderr) == (0, b"")
    before, said = got.stdout.decode().split("\nReport to share\n")
    assert before == usual
    assert " ".join(said.split()).startswith("Wrote shared: 3 files, ")
    assert "It holds no names" in said
    assert "It does hold the shape of the cache" in said
    assert names(tmp_path) == ["shared"]
    assert sorted(tree(tmp_path / "shared")) == ["README.md", "analysis.json", "config-1.json"]


def test_can_be_reproduced_as_its_readme_says(tmp_path: Path) -> None:
    run("analyze", *TAGS, "--buildkit", "v0.21.1", "--report", "shared", cwd=tmp_path)
    readme = (tmp_path / "shared/README.md").read_text()
    command = "cachedoctor analyze config-1.json config-2.json --buildkit v0.21.1"
    assert f"## Reproduce\n\n```\n{command}\n```\n" in readme
    again = run(*command.split()[1:], "--format", "json", cwd=tmp_path / "shared")
    assert json.loads(again.stdout) == json.loads((tmp_path / "shared/analysis.json").read_bytes())
    assert "CD204 merge-loop" in readme
    assert "judged for BuildKit v0.21.1" in readme


def test_is_the_same_every_time_and_replaces_itself(tmp_path: Path) -> None:
    run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)
    first = tree(tmp_path / "shared")
    run("analyze", *TAGS, "--report", "shared", cwd=tmp_path)
    assert sorted(tree(tmp_path / "shared")) == ["README.md", "analysis.json", "config-1.json", "config-2.json"]
    run("analyze", DIAMONDS, "--report", "shared/", cwd=tmp_path)
    assert tree(tmp_path / "shared") == first
    assert names(tmp_path) == ["shared"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    assert run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path).returncode == 0
    assert "README.md" in tree(tmp_path / "shared")


@pytest.mark.parametrize(
    ("files", "arguments", "problem"),
    [
        ({"shared": "x"}, ["shared"], "shared: already exists, and is not a folder; name a new one for --report"),
        ({"shared/mine.txt": "x"}, ["shared"], "shared: already exists, and is not just an older report"),
        ({"shared/README.md": "# My notes"}, ["shared"], "shared: already exists, and is not just an older report"),
        ({"shared/config-1.json": "{}"}, ["shared"], "shared: already exists, and is not just an older report"),
        ({"file": "x"}, ["file/shared"], "file/shared: cannot write it: Not a directory"),
        ({}, ["missing/shared"], "missing/shared: cannot write it: No such file or directory"),
        ({}, [""], "cannot be the name of a folder for --report"),
        ({}, ["nul\0"], "cannot be the name of a folder for --report"),
        ({}, ["shared", "-o", "shared/out.txt"], "shared: the report for people is in it; name another folder"),
        ({}, ["cache.json"], "cache.json: already exists, and is not a folder"),
    ],
)
def test_never_overwrites_anything_else(
    files: dict[str, str], arguments: list[str], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "cache.json").write_bytes(DIAMONDS.read_bytes())
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = tree(tmp_path)
    got = run("analyze", "cache.json", "--report", *arguments, cwd=tmp_path)
    assert got.returncode == 2
    assert got.stdout == b""
    assert got.stderr.decode().count("\n") == 1
    assert problem in got.stderr.decode()
    assert tree(tmp_path) == before


def test_never_overwrites_what_it_reads(tmp_path: Path) -> None:
    run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)
    before = tree(tmp_path)
    for source in ("shared/config-1.json", "shared/../shared/config-1.json"):
        got = run("analyze", source, "--report", "shared", cwd=tmp_path)
        assert got.returncode == 2
        assert b"shared: the cache is in it; name another folder for --report" in got.stderr
    assert tree(tmp_path) == before
    assert run("analyze", "shared/config-1.json", "--report", "other", cwd=tmp_path).returncode == 0
    for name in ("config-1.json", "analysis.json"):
        assert tree(tmp_path / "other")[name] == tree(tmp_path / "shared")[name]


def test_keeps_the_older_report_if_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)
    before = tree(tmp_path)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upstream, "_put", full)
    got = run("analyze", *TAGS, "--report", "shared", cwd=tmp_path)
    assert (got.returncode, got.stderr) == (2, b"cachedoctor: shared: cannot write it: No space left on device\n")
    assert tree(tmp_path) == before


def test_names_of_records_stay_out(tmp_path: Path) -> None:
    service, debug = FIXTURES / "manifests/service.json", FIXTURES / "debug/cache-all.json"
    got = run("analyze", service, "--names", debug, "--report", "shared", "-v", cwd=tmp_path)
    named = {line for line in got.stdout.decode().splitlines() if "RUN" in line or "COPY" in line}
    assert named
    content = b"".join(tree(tmp_path / "shared").values())
    assert b"RUN test" not in content
    assert b"service.json" not in content


def test_other_formats_stay_as_they_are(tmp_path: Path) -> None:
    for format in ("json", "sarif"):
        usual = run("analyze", DIAMONDS, "--format", format, cwd=tmp_path)
        got = run("analyze", DIAMONDS, "--format", format, "--report", "shared", cwd=tmp_path)
        assert got.stdout == usual.stdout
        assert "README.md" in tree(tmp_path / "shared")


@pytest.mark.slow
def test_an_interrupt_leaves_the_older_report_or_the_new_one(tmp_path: Path) -> None:
    large = str(FIXTURES / "manifests/too-large.json")
    run("analyze", large, "--report", "shared", cwd=tmp_path)
    new = tree(tmp_path)
    run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)
    old = tree(tmp_path)
    for number in range(8):
        words = [sys.executable, "-m", "cachedoctor", "analyze", large]
        process = subprocess.Popen([*words, "--report", "shared"], cwd=tmp_path, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(names(tmp_path)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(number * 0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
        assert names(tmp_path) == ["shared"]
        assert tree(tmp_path) in (old, new)
        run("analyze", DIAMONDS, "--report", "shared", cwd=tmp_path)


def test_blobs_that_are_missing_are_missing_from_the_manifest_of_the_report(tmp_path: Path) -> None:
    shutil.copytree(MANIFEST_LIST, tmp_path / "cache")
    (document,) = load(str(MANIFEST_LIST))
    (tmp_path / "cache/blobs/sha256" / document.config.blobs[0].removeprefix("sha256:")).unlink()
    got = run("analyze", "cache", "--report", "shared", "-f", "json", cwd=tmp_path)
    again = run("analyze", "shared/manifest-1.json", "-f", "json", cwd=tmp_path)
    (original,), (shared,) = (
        [finding for finding in json.loads(read.stdout)["findings"] if finding["rule"] == "CD303"]
        for read in (got, again)
    )
    assert original["records"] == shared["records"] != []
    assert "None: counts, costs, loops, bytes and findings are the same." in (tmp_path / "shared/README.md").read_text()
