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

from tests.registries import PASSWORD, USER
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
    env = {name: given[expression] for name, expression in STEPS[number].get("env", {}).items()}
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
        ({"sources": "none.json"}, 0, "passed"),
        ({"sources": f"none.json\n{DIAMONDS}"}, 1, "failed"),
        ({"sources": "none.json", "missing_ok": "false"}, 2, "unjudged"),
        ({"sources": "--help", "missing_ok": "no"}, 2, "unjudged"),
        ({"sources": "/"}, 2, "unjudged"),
        ({"sources": ""}, 2, "unjudged"),
        ({"sources": str(SERVICE), "fail_on": "fatal"}, 2, "unjudged"),
    ],
)
def test_the_step_tells_its_verdict(inputs: dict[str, str], code: int, verdict: str, runner: dict[str, str]) -> None:
    got = step(1, runner, **inputs)
    assert got.returncode == code, got.stderr
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}
    kept = step(1, runner, **inputs, fail="false")
    assert kept.returncode == (2 if code == 2 else 0)
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}


def test_the_step_annotates_and_summarizes(runner: dict[str, str]) -> None:
    got = step(1, runner, sources=str(DIAMONDS))
    assert got.stdout.startswith("::error title=CD201 path-explosion::")
    assert Path(runner["GITHUB_STEP_SUMMARY"]).read_text().startswith("**Check failed: CD201 path-explosion.**")


def test_the_step_says_why_nothing_was_judged(runner: dict[str, str]) -> None:
    (Path(runner["GITHUB_OUTPUT"]).parent / ".cachedoctor.toml").write_text("max-second = 5")
    got = step(1, runner, sources=str(SERVICE), fail="false")
    assert re.fullmatch(
        r"::error title=cachedoctor::\S*\.cachedoctor\.toml: max-second: no such setting.*\n", got.stdout
    )
    assert "could not judge" in Path(runner["GITHUB_STEP_SUMMARY"]).read_text()


def test_the_step_writes_a_file(runner: dict[str, str]) -> None:
    got = step(1, runner, sources=str(DIAMONDS), format="sarif", output="cache.sarif")
    assert got.stdout == ""
    assert '"ruleId": "CD201"' in (Path(runner["GITHUB_OUTPUT"]).parent / "cache.sarif").read_text()


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "x'\ntouch pwned\n'"])
def test_no_input_is_run(hostile: str, runner: dict[str, str]) -> None:
    for name in set(ACTION["inputs"]) - {"fail", "sources"}:
        step(1, runner, sources=hostile, **{name.replace("-", "_"): hostile})
    assert not (Path(runner["GITHUB_OUTPUT"]).parent / "pwned").exists()


def test_the_tool_is_installed_from_the_path_of_the_action(runner: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\n")
    (tmp_path / "python3").chmod(0o755)
    pip = Path(runner["RUNNER_TEMP"]) / "cachedoctor/bin/pip"
    pip.write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    pip.chmod(0o755)
    env = {**runner, "PATH": f"{tmp_path}:{runner['PATH']}"}
    assert step(0, env).stdout == f"{ROOT}\n"


@pytest.fixture
def python(runner: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A runner with this Python as python3, whose environments have no real pip."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@" --without-pip\n')
    (bin / "python3").chmod(0o755)
    pip = Path(runner["RUNNER_TEMP"]) / "cachedoctor/bin/pip"
    pip.write_text("#!/bin/sh\n")
    pip.chmod(0o755)
    return {**runner, "PATH": f"{bin}:{runner['PATH']}"}


def test_no_code_of_the_repository_is_run(python: dict[str, str], tmp_path: Path) -> None:
    for name in ("venv", "ensurepip", "sysconfig", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('pwned', 'w')\n")
    got = step(0, python)
    assert (got.returncode, got.stdout, got.stderr) == (0, "", "")
    assert (tmp_path / "temp/cachedoctor/pyvenv.cfg").exists()
    assert not (tmp_path / "pwned").exists()


def test_what_the_action_needs_is_one_clear_line(python: dict[str, str], tmp_path: Path) -> None:
    assert step(0, {**python, "RUNNER_OS": "Linux"}).returncode == 0
    for env, script in (({"RUNNER_OS": "Windows"}, None), ({}, "exit 1"), ({}, "exit 127")):
        if script:
            (tmp_path / "bin/python3").write_text(f"#!/bin/sh\n{script}\n")
        got = step(0, {**python, **env})
        assert got.returncode == 2
        assert re.fullmatch(r"::error title=cachedoctor::.*Python 3\.11 or later.*\n", got.stdout)


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


def test_every_recipe_is_complete() -> None:
    """It logs in before it reads, has what the check needs, and a builder that can export a cache."""
    jobs = [job for block in blocks("yaml") for job in yaml.safe_load(block).get("jobs", {}).values()]
    assert len(jobs) == 3
    for job in jobs:
        used = [one.get("uses", "").split("@")[0] for one in job["steps"]]
        assert used[:2] == ["actions/checkout", "docker/login-action"]
        if "docker/build-push-action" in used:
            assert used[2] == "docker/setup-buildx-action"
        if "github/codeql-action/upload-sarif" in used:
            assert job["permissions"]["security-events"] == "write"
            assert "hashFiles('cachedoctor.sarif') != ''" in job["steps"][-1]["if"]
    for recipe in (gitlab()["build"]["script"], blocks("groovy")[0].splitlines()):
        text = "\n".join(recipe)
        assert text.index("docker login") < text.index("buildx create") < text.index("buildx build")
    checks = [command for command in commands() if any(word.startswith("docker://$") for word in command)]
    assert len(checks) == 3
    assert all("--missing-ok" in command for command in checks)


def gitlab() -> dict[str, Any]:
    (found,) = [parsed for parsed in map(yaml.safe_load, blocks("yaml")) if "check-cache" in parsed]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("cache", "code"), [("team/app:main", 0), ("Team", 2)])
def test_the_job_of_gitlab_reads_a_private_registry(
    cache: str, code: int, private: str, runner: dict[str, str], tmp_path: Path
) -> None:
    env = {
        **runner,
        "PATH": f"{runner['RUNNER_TEMP']}/cachedoctor/bin:{runner['PATH']}",
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "CI_REGISTRY": private,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
        "CACHE": f"{private}/{cache}",
    }
    script = "\n".join(gitlab()["check-cache"]["script"])
    got = subprocess.run(["sh", "-ec", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert got.returncode == (1 if code else 0), got.stderr
    assert (tmp_path / "cache.env").read_text() == f"CHECKED={code}\n"
    assert (tmp_path / "gl-code-quality-report.json").exists() is not bool(code)
    assert PASSWORD not in got.stdout + got.stderr


def _steps(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield from value.get("steps", [])
        for below in value.values():
            yield from _steps(below)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    assert f"_CACHEDOCTOR_COMPLETE={shell}_source cachedoctor" in RECIPES
    got = run(env={"_CACHEDOCTOR_COMPLETE": f"{shell}_source"})
    assert got.returncode == 0
    assert b"_CACHEDOCTOR_COMPLETE" in got.stdout
    done = run(env={"_CACHEDOCTOR_COMPLETE": "bash_complete", "COMP_WORDS": "cachedoctor ch", "COMP_CWORD": "1"})
    assert done.stdout == b"plain,check\n"
