"""Records of real builds, from the command line: which line each record is, and which steps will hit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import FIXTURES, run

BUILDS = FIXTURES / "builds"
HITS = FIXTURES / "hits"
T_CACHE = BUILDS / "t-cache-v0.32.2"
T_BUILD = BUILDS / "t-v0.32.2.dockerbuild"
MEDIA = BUILDS / "media-v0.32.2.cache.json"
MEDIA_BUILD = BUILDS / "media-v0.32.2.provenance.json"
SERVICE = FIXTURES / "manifests/service.json"
SERVICE_BUILD = BUILDS / "captures/service.json"
TAGS = [FIXTURES / f"manifests/tag-{tag}.json" for tag in "ab"]
TAG_BUILDS = [word for tag in "ab" for word in ("--build", str(BUILDS / f"captures/tag-{tag}.json"))]


def analyzed(*arguments: str | Path, stdin: bytes | None = None, cwd: Path | None = None) -> Any:
    done = run("analyze", *arguments, "--format", "json", stdin=stdin, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_line(stderr: bytes) -> str:
    text = stderr.decode()
    assert text.startswith("cachedoctor: ")
    assert text.count("\n") == 1
    return text


def test_every_record_with_inputs_has_its_line() -> None:
    parsed = analyzed(T_CACHE, "--build", T_BUILD)
    labels = {name["label"] for name in parsed["names"] if name["sure"]}
    assert "t.Dockerfile:13 COPY --from=deps /deps /app/deps" in labels
    assert "t.Dockerfile:17 RUN --network=none ls /app && true" in labels
    assert parsed["builds"][0]["kind"] == "dockerbuild"
    assert parsed["builds"][0]["platform"] == "linux/amd64"


def test_a_build_can_come_from_standard_input() -> None:
    piped = analyzed(T_CACHE, "--build", "-", stdin=T_BUILD.read_bytes())
    assert [name["label"] for name in piped["names"]] == [
        name["label"] for name in analyzed(T_CACHE, "--build", T_BUILD)["names"]
    ]
    twice = run("analyze", "-", "--build", "-", stdin=T_BUILD.read_bytes())
    assert twice.returncode == 2
    assert b"standard input can be read only once" in twice.stderr


def test_paths_double_at_the_lines_that_copy() -> None:
    done = run("check", MEDIA, "--build", MEDIA_BUILD, "--max-calls", "50000", "--dockerfile", "docker/Dockerfile")
    assert done.returncode == 1
    text = " ".join(done.stdout.decode().split())
    assert "of them pass through docker/Dockerfile:13 COPY --link --from=lib01 /dest/share/. /aclocal" in text
    assert "Paths double at docker/Dockerfile:13 COPY --link --from=lib01 /dest/share/. /aclocal: without it," in text
    parsed = json.loads(run("check", MEDIA, "--build", MEDIA_BUILD, "--max-calls", "50000", "-f", "json").stdout)
    finding = next(finding for finding in parsed["findings"] if finding["rule"] == "CD201")
    doubled = [doubling["locations"][0] for doubling in parsed["doublings"]]
    assert finding["locations"][: len(doubled)] == doubled
    left = [int(doubling["calls_without"]["value"]) for doubling in parsed["doublings"]]
    assert left == sorted(left)
    assert left[-1] < int(parsed["cost"]["le_0_24"]["calls"]["typical"]["value"])


def test_annotations_are_at_the_dockerfile_of_the_repository() -> None:
    arguments = ("check", MEDIA, "--build", MEDIA_BUILD, "--max-calls", "50000", "--dockerfile", "docker/Dockerfile")
    first = run(*arguments, "--format", "github").stdout.decode().splitlines()[0]
    assert first.startswith("::error file=docker/Dockerfile,line=13,endLine=13,title=CD201 path-explosion::")
    assert "Also: docker/Dockerfile:12 COPY --link --from=lib01 /dest/. /prefix; " in first


def test_loops_of_two_tags_have_the_lines_of_both_builds() -> None:
    parsed = analyzed(*TAGS, *TAG_BUILDS)
    members = parsed["loops"][0]["members"]
    assert len(members) == len(parsed["loops"][0]["records"])
    assert {member["locations"][0]["file"] for member in members} <= {"tag-a.Dockerfile", "tag-b.Dockerfile"}
    finding = next(finding for finding in parsed["findings"] if finding["rule"] == "CD204")
    assert "Dockerfile:" in finding["message"]
    assert finding["locations"]


def test_several_builds_name_more_than_one() -> None:
    both = len(analyzed(*TAGS, *TAG_BUILDS)["names"])
    assert both >= max(len(analyzed(*TAGS, *TAG_BUILDS[:2])["names"]), len(analyzed(*TAGS, *TAG_BUILDS[2:])["names"]))


def test_a_build_of_something_else_is_said_to_name_nothing() -> None:
    text = run("analyze", FIXTURES / "manifests/diamond-8.json", "--build", MEDIA_BUILD).stdout.decode()
    assert "media-v0.32.2.provenance.json (linux/amd64) names none of the" in " ".join(text.split())


@pytest.mark.parametrize("name", ["service-edit-v0.21.1", "service-edit-v0.32.2", "bundle-edit-v0.32.2"])
def test_hits_are_what_buildkit_did(name: str) -> None:
    cache, build, before = (HITS / f"{name}.{what}.json" for what in ("cache", "provenance", "before"))
    hits = analyzed(cache, "--build", build, "--before", before)["hits"][0]
    expected = {
        step["line"]: step["cached"] for step in json.loads((HITS / f"{name}.expected.json").read_bytes())["steps"]
    }
    for step in hits["steps"]:
        cached = expected.get(step["location"]["line"])
        if cached is not None and step["state"] != "unknown":
            assert cached == (step["state"] == "hit"), step
    assert hits["miss"] > 0
    assert hits["hit"] + hits["miss"] + hits["unknown"] == len(hits["steps"])


def test_the_headline_has_totals_and_the_first_miss_a_reason() -> None:
    edited = HITS / "service-edit-v0.32.2"
    text = run("analyze", f"{edited}.cache.json", "--build", f"{edited}.provenance.json").stdout.decode()
    assert "Of 8 steps, 3 will hit, 2 will miss and 3 depend on content." in text
    assert "First miss\n  service-edit.Dockerfile:5 RUN mkdir -p /deps && echo lib2 > /deps/lib\n" in text


def test_check_fails_if_too_few_steps_hit() -> None:
    edited = HITS / "service-edit-v0.32.2"
    arguments = ("check", f"{edited}.cache.json", "--build", f"{edited}.provenance.json", "--min-hits")
    passed, failed = run(*arguments, "60%"), run(*arguments, "61")
    assert (passed.returncode, failed.returncode) == (0, 1)
    assert failed.stdout.startswith(b"Check failed: CD401 few-hits.\n")
    assert run("check", SERVICE, "--build", SERVICE_BUILD, "--min-hits", "100%").returncode == 0
    without = run("check", SERVICE, "--min-hits", "80%")
    assert without.returncode == 2
    assert b"--min-hits needs the record of the build" in without.stderr


def test_repair_names_the_steps_that_lost_alternatives() -> None:
    build = ("--build", BUILDS / "captures/diamond-8.json")
    eight = FIXTURES / "manifests/diamond-8.json"
    text = run("repair", eight, "--dry-run", "--prune", "minimal", *build).stdout.decode()
    assert "diamond-8.Dockerfile:" in text.partition("Removed alternatives")[2]
    bare = " ".join(run("repair", eight, "--dry-run", "--prune", "minimal").stdout.decode().split())
    assert bare.count("docker buildx history export -o build.dockerbuild") == 1


def test_profile_names_where_the_loop_check_is() -> None:
    stuck, eight = FIXTURES / "profiles/cpu-stuck.pprof", FIXTURES / "manifests/diamond-8.json"
    text = run("profile", stuck, "--cache", eight, "--build", BUILDS / "captures/diamond-8.json").stdout.decode()
    assert "diamond-8.Dockerfile:" in text.partition("Hotspots of the loop check")[2].partition("\n\n")[0]
    alone = run("profile", stuck, "--build", BUILDS / "captures/diamond-8.json")
    assert alone.stderr == b"cachedoctor: --build has no effect without --cache\n"


def test_settings_name_builds(tmp_path: Path) -> None:
    for name, path in (
        ("app.json", SERVICE_BUILD),
        ("cache.json", SERVICE),
        ("debug.json", FIXTURES / "debug/cache-all.json"),
    ):
        shutil.copyfile(path, tmp_path / name)
    (tmp_path / ".cachedoctor.toml").write_text(
        'build = ["app.json"]\nnames = "debug.json"\nmin-hits = 50\ndockerfile = "docker/Dockerfile"\n'
    )
    (tmp_path / "below").mkdir()
    (tmp_path / ".git").mkdir()
    done = run("check", "../cache.json", "--format", "json", cwd=tmp_path / "below")
    parsed = json.loads(done.stdout)
    assert [build["kind"] for build in parsed["builds"]] == ["statement", "cache-debug"]
    assert all(build["records_named"] for build in parsed["builds"])
    assert parsed["builds"][0]["dockerfile"] == "docker/Dockerfile"
    assert parsed["limits"]["min_hits"] == 50
    undone = run("check", "cache.json", "--build", "", "--format", "json", cwd=tmp_path)
    assert b"--min-hits needs the record" in undone.stderr


@pytest.mark.parametrize("option", ["--build", "--names", "--before"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"\x1f\x8bxx", b'{"predicateType": 7}'])
def test_a_record_that_cannot_be_read_gives_one_line(option: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x\x1b").write_bytes(content)
    for command in (("analyze", SERVICE), ("check", SERVICE)):
        done = run(*command, option, tmp_path / "x\x1b")
        assert (done.returncode, done.stdout) == (2, b"")
        assert "\x1b" not in one_line(done.stderr)


@pytest.mark.parametrize("command", [("analyze",), ("check",), ("repair", "--dry-run")])
def test_a_missing_record_gives_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(*command, SERVICE, "--build", tmp_path / "none")
    assert done.returncode == 2
    assert "none: " in one_line(done.stderr)


def test_a_report_does_not_overwrite_the_record(tmp_path: Path) -> None:
    shutil.copyfile(SERVICE_BUILD, tmp_path / "build.json")
    for option in ("--build", "--before"):
        done = run("analyze", SERVICE, option, "build.json", "-o", "build.json", cwd=tmp_path)
        assert "build.json: is the record of a build itself" in one_line(done.stderr)
    assert (tmp_path / "build.json").read_bytes() == SERVICE_BUILD.read_bytes()


def test_a_report_to_share_has_no_lines(tmp_path: Path) -> None:
    done = run("analyze", MEDIA, "--build", MEDIA_BUILD, "--report", "shared", cwd=tmp_path)
    assert done.returncode == 0
    files = [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
    assert files
    assert not any(b"Dockerfile:" in path.read_bytes() or b"/dest/" in path.read_bytes() for path in files)
