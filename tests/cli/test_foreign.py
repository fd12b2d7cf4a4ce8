"""Foreign text in messages cannot control a terminal, a workflow or markup."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report.foreign import NASTY, commands, markup, steering
from tests.sources.layouts import Layout
from tests.support import FIXTURES, record, run

SERVICE = str(FIXTURES / "manifests/service.json")
ALL = "\n".join(NASTY.values())
NAME = "".join(text[:50] for text in NASTY.values()).replace("\0", "").replace("/", "")[:80]
"""As much of it as a file name can hold."""


def missing_file(folder: Path) -> list[str]:
    return ["analyze", NAME]


def invalid_json(folder: Path) -> list[str]:
    (folder / NAME).write_text("{")
    return ["check", NAME]


def unknown_setting(folder: Path) -> list[str]:
    (folder / ".cachedoctor.toml").write_text(f"{json.dumps(ALL)} = 1".replace("\\u007f", "\x7f"))
    return ["check", SERVICE]


def invalid_setting(folder: Path) -> list[str]:
    (folder / ".cachedoctor.toml").write_text(f"format = {json.dumps(ALL.replace(chr(0), ''))}")
    return ["check", SERVICE]


def invalid_baseline(folder: Path) -> list[str]:
    (folder / NAME).write_text(json.dumps({"cachedoctor_baseline": ALL}))
    return ["check", SERVICE, "--baseline", NAME]


def missing_names(folder: Path) -> list[str]:
    return ["analyze", SERVICE, "--names", NAME]


def invalid_option(folder: Path) -> list[str]:
    return ["check", SERVICE, "--fail-on", ALL.replace("\0", "")]


def unknown_rules(folder: Path) -> list[str]:
    return ["check", SERVICE, "--select", ALL.replace("\0", "").replace(",", "")]


def unknown_tag(folder: Path) -> list[str]:
    layout = Layout(folder / "layout")
    for number in range(12):
        layout.cache({"records": [record("x")]}, f"{ALL}{number}")
    return ["check", "layout", "--tag", ALL.replace("\0", "")]


def unknown_platform(folder: Path) -> list[str]:
    layout = Layout(folder / "layout")
    image = {"rootfs": {"diff_ids": []}, "moby.buildkit.cache.v0": "W10=", "os": NAME, "architecture": ALL[:200]}
    config = layout.blob({**image, "architecture": NAME}, ALL)
    layout.tag(layout.blob({"schemaVersion": 2, "mediaType": ALL, "config": config, "layers": []}, ALL))
    return ["check", "layout", "--platform", ALL.replace("\0", "")]


def unknown_field(folder: Path) -> list[str]:
    (folder / "x.json").write_text(json.dumps({"records": [{**record("x"), ALL: 1}], ALL: 1}))
    return ["repair", "x.json", "-o", "nowhere/x.json"]


def unwritable_output(folder: Path) -> list[str]:
    return ["analyze", SERVICE, "-o", f"{NAME}/x"]


def invalid_profile(folder: Path) -> list[str]:
    (folder / NAME).write_text(ALL.replace("\0", ""))
    return ["profile", NAME]


FILES = [missing_file, invalid_json, invalid_baseline, missing_names, unwritable_output, invalid_profile]
WORDS = [unknown_setting, invalid_setting, invalid_option, unknown_rules, unknown_tag, unknown_platform, unknown_field]


@pytest.mark.parametrize("github", ["", "true"])
@pytest.mark.parametrize("case", [*FILES, *WORDS], ids=lambda case: str(case.__name__))
def test_reasons(case: Callable[[Path], list[str]], github: str, tmp_path: Path) -> None:
    arguments = case(tmp_path)
    got = run(*arguments, cwd=tmp_path, env={"GITHUB_ACTIONS": github})
    assert got.returncode == 2
    assert got.stdout == b""
    message = got.stderr.decode()
    assert steering(message) == set()
    assert max(map(len, message.splitlines())) < 40_000
    assert message.endswith("\n")
    if case not in (invalid_option, unknown_rules):
        assert message.count("\n") == 1
    assert not github or commands(message) == []


@pytest.mark.parametrize("case", [unknown_tag, invalid_setting])
def test_reasons_in_annotations_and_summaries(case: Callable[[Path], list[str]], tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    arguments = [*case(tmp_path), "--format", "github", "--step-summary"]
    got = run(*arguments, cwd=tmp_path, env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)})
    assert got.returncode == 2
    out = got.stdout.decode()
    assert steering(out) == set()
    assert out.startswith("::error title=cachedoctor::")
    assert out.count("\n") == 1
    assert steering(summary.read_text(), allowed="\n\u2060") == set()
    assert markup(summary.read_text()) == []


def test_warnings(tmp_path: Path) -> None:
    unknown_field(tmp_path)
    got = run("repair", "x.json", "-o", "y.json", cwd=tmp_path, env={"GITHUB_ACTIONS": "true"})
    assert got.returncode == 0
    for stream in (got.stdout.decode(), got.stderr.decode()):
        assert steering(stream) == set()
        assert commands(stream) == []
