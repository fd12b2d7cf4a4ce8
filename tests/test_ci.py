"""What pipelines take from here works: the action, the hook, and the recipes of `docs/ci.md`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cachedoctor.settings import KEYS
from tests.support import FIXTURES, run

ROOT = Path(__file__).parent.parent
RECIPES = (ROOT / "docs/ci.md").read_text()
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SERVICE, DIAMONDS = FIXTURES / "manifests/service.json", FIXTURES / "manifests/diamond-28.json"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[list[str]]:
    """The arguments of every command of the recipes."""
    for line in re.findall(r"(?<![\w/-])cachedoctor ((?:check|analyze|repair) [^\n`]*)", "\n".join(blocks("[a-z]*"))):
        yield shlex.split(re.split(r" \|\| |'\)| < | # ", f"{line} # ")[0])


# The action


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a step, with a cachedoctor where the step before installs one."""
    tool = tmp_path / "temp/cachedoctor/bin/cachedoctor"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m cachedoctor "$@"\n')
    tool.chmod(0o755)
    (tmp_path / ".git").mkdir()
    return {
        **{key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")},
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_ACTION_PATH": str(ROOT),
    }


def step(number: int, runner: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step as the runner does, its inputs filled in."""
    given = {f"${{{{ inputs.{name} }}}}": value.get("default", "") for name, value in ACTION["inputs"].items()}
    given |= {f"${{{{ inputs.{name.replace('_', '-')} }}}}": value for name, value in inputs.items()}
    env = {name: given[expression] for name, expression in STEPS[number]["env"].items()}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[number]["run"]],
        env={**runner, **env},
        cwd=Path(runner["GITHUB_OUTPUT"]).parent,
        capture_output=True,
        text=True,
        check=False,
    )


def outputs(runner: dict[str, str]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in Path(runner["GITHUB_OUTPUT"]).read_text().splitlines())


def test_no_input_is_part_of_a_script() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for one in STEPS:
        assert "${{" not in one["run"]
        assert one["shell"] == "bash"
    used = re.findall(r"\$\{\{ inputs\.([a-z-]+) \}\}", (ROOT / "action.yml").read_text())
    assert sorted(used) == sorted(ACTION["inputs"])


@pytest.mark.parametrize(
    ("inputs", "code", "verdict"),
    [
        ({"sources": f"{SERVICE}\n"}, 0, "passed"),
        ({"sources": f"  {SERVICE}\n\n  {DIAMONDS}\n"}, 1, "failed"),
        ({"sources": str(DIAMONDS), "max_seconds": "300", "ignore": "CD202"}, 0, "passed"),
        ({"sources": str(DIAMONDS), "buildkit": "v0.26.0"}, 0, "passed"),
        ({"sources": str(DIAMONDS), "max_seconds": "300", "fail_on": "warning"}, 1, "failed"),
        ({"sources": str(SERVICE), "max_calls": "30", "select": "CD201"}, 1, "failed"),
        ({"sources": str(SERVICE), "max_bytes": "1kB"}, 1, "failed"),
        ({"sources": "none.json"}, 2, "unreadable"),
        ({"sources": ""}, 2, "unreadable"),
        ({"sources": "--help"}, 2, "unreadable"),
        ({"sources": str(SERVICE), "fail_on": "fatal"}, 2, "unreadable"),
    ],
)
def test_the_step_tells_its_verdict(inputs: dict[str, str], code: int, verdict: str, runner: dict[str, str]) -> None:
    got = step(1, runner, **inputs)
    assert got.returncode == code, got.stderr
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}
    kept = step(1, runner, **inputs, fail="false")
    assert kept.returncode == 0
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}


def test_the_step_annotates_and_summarizes(runner: dict[str, str]) -> None:
    got = step(1, runner, sources=str(DIAMONDS))
    assert got.stdout.startswith("::error title=CD201 path-explosion::")
    assert Path(runner["GITHUB_STEP_SUMMARY"]).read_text().startswith("**Check failed: CD201 path-explosion.**")


def test_the_step_writes_a_file(runner: dict[str, str]) -> None:
    got = step(1, runner, sources=str(DIAMONDS), format="sarif", output="cache.sarif")
    assert got.stdout == ""
    assert '"ruleId": "CD201"' in (Path(runner["GITHUB_OUTPUT"]).parent / "cache.sarif").read_text()


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "x'\ntouch pwned\n'"])
def test_no_input_is_run(hostile: str, runner: dict[str, str]) -> None:
    for name in set(ACTION["inputs"]) - {"fail", "sources", "version"}:
        step(1, runner, sources=hostile, **{name.replace("-", "_"): hostile})
    assert step(0, runner, version=hostile).returncode == 2
    assert not (Path(runner["GITHUB_OUTPUT"]).parent / "pwned").exists()


def test_the_tool_is_installed_from_the_path_of_the_action(runner: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\n")
    (tmp_path / "python3").chmod(0o755)
    pip = Path(runner["RUNNER_TEMP"]) / "cachedoctor/bin/pip"
    pip.write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    pip.chmod(0o755)
    env = {**runner, "PATH": f"{tmp_path}:{runner['PATH']}"}
    assert step(0, env).stdout == f"{ROOT}\n"
    assert step(0, env, version="1.2.3").stdout == "cachedoctor==1.2.3\n"


# The hook, the image


def test_the_hook_runs_the_check() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert run(*shlex.split(hook["entry"])[1:], SERVICE, cwd=ROOT).returncode == 0
    assert "id: " + hook["id"] in RECIPES


def test_the_image_has_all_that_is_built_from_and_no_rights() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert copied
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    stages = [index for index, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(stages) == 2
    assert any(re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", line) for line in lines[stages[-1] :])


# The recipes


def test_recipes_are_yaml() -> None:
    parsed: list[Any] = [yaml.safe_load(block) for block in blocks("yaml")]
    assert len(parsed) == 5
    assert all(isinstance(one, dict) for one in parsed)


def test_recipes_give_the_action_inputs_and_outputs_that_it_has() -> None:
    for block in blocks("yaml"):
        for used in _steps(yaml.safe_load(block)):
            if used.get("uses", "").startswith("OWNER/"):
                assert set(used["with"]) <= set(ACTION["inputs"])
    for output in re.findall(r"steps\.cache\.outputs\.([a-z-]+)", RECIPES):
        assert output in ACTION["outputs"]


def _steps(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield from value.get("steps", [])
        for below in value.values():
            yield from _steps(below)


def test_every_option_that_is_named_exists() -> None:
    found = list(commands())
    assert len(found) > 10
    helps = {name: run(name, "--help").stdout.decode() for name in {command[0] for command in found}}
    for command in found:
        for option in command[1:]:
            if option.startswith("--"):
                assert f"{option} " in helps[command[0]]


def test_commands_on_the_fixtures_exit_as_is_said() -> None:
    (block,) = blocks("bash")
    lines = re.findall(r"^cachedoctor (.*?)  # (\d)$", block, re.MULTILINE)
    assert len(lines) == len(block.splitlines())
    for command, code in lines:
        assert run(*shlex.split(command), cwd=ROOT).returncode == int(code), command


def test_every_setting_is_explained() -> None:
    section = RECIPES.split("## Limits and settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert sorted(re.findall(r"`([a-z-]+)`", " ".join(rows))) == sorted(KEYS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert f"_CACHEDOCTOR_COMPLETE={shell}_source cachedoctor" in RECIPES
    got = run(env={"_CACHEDOCTOR_COMPLETE": f"{shell}_source"})
    assert got.returncode == 0
    assert b"_CACHEDOCTOR_COMPLETE" in got.stdout
    done = run(env={"_CACHEDOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": "cachedoctor ch", "COMP_CWORD": "1"})
    assert done.stdout == b"plain,check\n"
