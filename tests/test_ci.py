"""What pipelines use works: the action, the hook, the image, and the recipes in `docs/ci.md`."""

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
LAYOUT = FIXTURES / "layouts/v0.21.1-image-manifest"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)


def commands() -> Iterator[list[str]]:
    """The arguments of every command in the recipes."""
    for line in re.findall(r"(?<![\w/-])cachedoctor ((?:check|analyze|repair) [^\n`]*)", "\n".join(blocks("[a-z]*"))):
        yield shlex.split(re.split(r" \|\| |'\)| < | # ", f"{line} # ")[0])


# The action


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a step, with a stub where the step before installs cachedoctor.

    The stub keeps its arguments and exits with `STUB_CODE`.
    """
    tool = tmp_path / "temp/cachedoctor/bin/cachedoctor"
    tool.parent.mkdir(parents=True)
    script(tool, 'printf "%s\\0" "$@" > "$RUNNER_TEMP/arguments"\nexit "${STUB_CODE:-0}"')
    (tmp_path / ".git").mkdir()
    return {
        **{key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")},
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_ACTION_PATH": str(ROOT),
    }


@pytest.fixture
def installed(runner: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a step, with this cachedoctor where the step before installs it."""
    command = f'PYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m cachedoctor "$@"'
    script(tmp_path / "temp/cachedoctor/bin/cachedoctor", command)
    return runner


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def step(number: int, runner: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step as a runner does, with its inputs filled in."""
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


def arguments(runner: dict[str, str]) -> list[str]:
    """What the stub was called with."""
    return (Path(runner["RUNNER_TEMP"]) / "arguments").read_text().split("\0")[:-1]


def test_no_input_is_part_of_a_script() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for each in STEPS:
        assert "${{" not in each["run"]
        assert each["shell"] == "bash"
    used = re.findall(r"\$\{\{ inputs\.([a-z-]+) \}\}", (ROOT / "action.yml").read_text())
    assert sorted(used) == sorted(ACTION["inputs"])


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"sources": f"{SERVICE}\n"}, 0),
        ({"sources": f"  {SERVICE}\n\n  {DIAMONDS}\n"}, 1),
        ({"sources": str(DIAMONDS), "max_seconds": "300", "ignore": "CD202"}, 0),
        ({"sources": str(DIAMONDS), "buildkit": "v0.26.0"}, 0),
        ({"sources": str(DIAMONDS), "max_seconds": "300", "fail_on": "warning"}, 1),
        ({"sources": str(SERVICE), "max_calls": "30", "select": "CD201"}, 1),
        ({"sources": str(SERVICE), "max_bytes": "1kB"}, 1),
        ({"sources": "none.json"}, 0),
        ({"sources": f"none.json\n{DIAMONDS}"}, 1),
        ({"sources": "none.json", "missing_ok": "false"}, 2),
        ({"sources": "--help", "missing_ok": "no"}, 2),
        ({"sources": "/"}, 2),
        ({"sources": ""}, 2),
        ({"sources": str(LAYOUT), "all_tags": "true"}, 0),
        ({"sources": str(LAYOUT), "all_tags": "true", "tag": "latest"}, 2),
        ({"sources": str(SERVICE), "fail_on": "fatal"}, 2),
    ],
)
def test_inputs_become_options(inputs: dict[str, str], code: int, runner: dict[str, str], tmp_path: Path) -> None:
    """The command gets what the step makes of its inputs, and ends with this exit code."""
    assert step(1, runner, **inputs).returncode == 0
    summary = {"GITHUB_STEP_SUMMARY": runner["GITHUB_STEP_SUMMARY"]}
    done = run(*arguments(runner), cwd=tmp_path, env=summary)
    assert done.returncode == code, done.stderr
    assert Path(summary["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.mark.parametrize(("code", "verdict"), [(0, "passed"), (1, "failed"), (2, "unjudged"), (130, "unjudged")])
def test_step_outputs_its_verdict(code: int, verdict: str, runner: dict[str, str]) -> None:
    env = {**runner, "STUB_CODE": str(code)}
    assert step(1, env, sources="x").returncode == code
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}
    assert step(1, env, sources="x", fail="false").returncode == (0 if code == 1 else code)
    assert outputs(runner) == {"exit-code": str(code), "verdict": verdict}


def test_step_annotates_and_summarizes(installed: dict[str, str]) -> None:
    got = step(1, installed, sources=str(DIAMONDS))
    assert got.returncode == 1
    assert outputs(installed) == {"exit-code": "1", "verdict": "failed"}
    assert got.stdout.startswith("::error title=CD201 path-explosion::")
    assert Path(installed["GITHUB_STEP_SUMMARY"]).read_text().startswith("**cachedoctor check:** Check failed: CD201")


def test_step_says_why_nothing_was_judged(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".cachedoctor.toml").write_text("max-second = 5")
    got = step(1, installed, sources=str(SERVICE), fail="false")
    assert re.fullmatch(r"::error title=cachedoctor::\S*\.cachedoctor\.toml: max-second: .*max-seconds.*\n", got.stdout)
    assert "could not judge" in Path(installed["GITHUB_STEP_SUMMARY"]).read_text()


@pytest.mark.slow
def test_step_writes_a_file(installed: dict[str, str], tmp_path: Path) -> None:
    got = step(1, installed, sources=str(DIAMONDS), format="sarif", output="cache.sarif")
    assert got.stdout == ""
    assert '"ruleId": "CD201"' in (tmp_path / "cache.sarif").read_text()


@pytest.mark.parametrize("hostile", ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "x'\ntouch pwned\n'"])
def test_no_input_is_run(hostile: str, runner: dict[str, str], tmp_path: Path) -> None:
    names = set(ACTION["inputs"]) - {"fail", "sources", "missing-ok", "all-tags"}
    inputs = {name.replace("-", "_"): hostile for name in names}
    step(1, runner, sources=hostile, missing_ok=hostile, fail=hostile, **inputs)
    given = arguments(runner)
    assert given[given.index("--") + 1 :] == [line for line in hostile.splitlines() if line]
    lines = [line for line in hostile.splitlines() if line]
    for name in names:
        for value in lines if name in ("build", "before") else [hostile]:
            assert f"--{name}={value}" in given
    assert not (tmp_path / "pwned").exists()


def test_tool_is_installed_from_the_path_of_the_action(runner: dict[str, str], tmp_path: Path) -> None:
    script(tmp_path / "python3", "")
    script(tmp_path / "temp/cachedoctor/bin/pip", 'for last; do :; done\necho "$last"')
    env = {**runner, "PATH": f"{tmp_path}:{runner['PATH']}"}
    assert step(0, env).stdout == f"{ROOT}\n"


@pytest.fixture
def python(runner: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A runner with this Python as python3, whose environments get a stub as pip."""
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin/python3", f'exec {sys.executable} "$@" --without-pip')
    script(tmp_path / "temp/cachedoctor/bin/pip", "")
    return {**runner, "PATH": f"{tmp_path}/bin:{runner['PATH']}"}


def test_no_code_of_the_repository_is_run(python: dict[str, str], tmp_path: Path) -> None:
    for name in ("venv", "ensurepip", "sysconfig", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('pwned', 'w')\n")
    got = step(0, python)
    assert (got.returncode, got.stdout, got.stderr) == (0, "", "")
    assert (tmp_path / "temp/cachedoctor/pyvenv.cfg").exists()
    assert not (tmp_path / "pwned").exists()


def test_unsupported_runners_get_one_clear_line(python: dict[str, str], tmp_path: Path) -> None:
    assert step(0, {**python, "RUNNER_OS": "Linux"}).returncode == 0
    for env, broken in (({"RUNNER_OS": "Windows"}, None), ({}, "exit 1"), ({}, "exit 127")):
        if broken:
            script(tmp_path / "bin/python3", broken)
        got = step(0, {**python, **env})
        assert got.returncode == 2
        assert re.fullmatch(r"::error title=cachedoctor::.*Python 3\.11 or later.*\n", got.stdout)


# The hook, the image


def test_hook_runs_the_check() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert run(*shlex.split(hook["entry"])[1:], SERVICE, cwd=ROOT).returncode == 0
    assert "id: " + hook["id"] in RECIPES


def test_image_has_its_sources_and_no_privileges() -> None:
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
    assert all(isinstance(recipe, dict) for recipe in parsed)


def test_recipes_use_existing_inputs_and_outputs() -> None:
    for block in blocks("yaml"):
        for used in _steps(yaml.safe_load(block)):
            if used.get("uses", "").startswith("OWNER/"):
                assert set(used["with"]) <= set(ACTION["inputs"])
    for output in re.findall(r"steps\.cache\.outputs\.([a-z-]+)", RECIPES):
        assert output in ACTION["outputs"]


def test_every_recipe_is_complete() -> None:
    """Each job logs in before it reads, has what the check needs, and uses a builder that can export a cache."""
    jobs = [job for block in blocks("yaml") for job in yaml.safe_load(block).get("jobs", {}).values()]
    assert len(jobs) == 3
    for job in jobs:
        used = [step.get("uses", "").split("@")[0] for step in job["steps"]]
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
    (recipe,) = [parsed for parsed in map(yaml.safe_load, blocks("yaml")) if "check-cache" in parsed]
    assert isinstance(recipe, dict)
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize(("cache", "code"), [("team/app:main", 0), ("Team", 2)])
def test_gitlab_job_reads_a_private_registry(
    cache: str, code: int, private: str, installed: dict[str, str], tmp_path: Path
) -> None:
    env = {
        **installed,
        "PATH": f"{installed['RUNNER_TEMP']}/cachedoctor/bin:{installed['PATH']}",
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "CI_REGISTRY": private,
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
        "CACHE": f"{private}/{cache}",
    }
    job = "\n".join(gitlab()["check-cache"]["script"])
    got = subprocess.run(["sh", "-ec", job], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
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
