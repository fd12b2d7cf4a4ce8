"""What the project says of itself is true: dependencies, versions, recipes, workflows."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from cachedoctor import __version__

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
CI = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
DEVELOPERS = [ROOT / name for name in (".ci/run", "CONTRIBUTING.md", "docs/development.md")]
PINNED = re.compile(r"[\w-]+/[\w.-]+@v\d+\.\d+\.\d+")


def imported() -> Iterator[str]:
    """The packages that cachedoctor imports and that are not part of Python."""
    for path in (ROOT / "cachedoctor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"cachedoctor"}


def names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement)[0] for requirement in requirements}


@pytest.mark.slow
def test_what_is_imported_is_what_is_depended_on() -> None:
    # Several distributions may share a package, as those of Google do.
    distributions = {**packages_distributions(), "google": ["protobuf"]}
    needed = {distributions[name][0].lower() for name in imported()}
    assert needed == names(PROJECT["dependencies"])


def test_what_is_depended_on_has_a_version_in_the_constraints() -> None:
    """Otherwise `just lock` was forgotten."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    needed = [*PROJECT["dependencies"], *(line for group in GROUPS.values() for line in group if isinstance(line, str))]
    assert names(needed) <= names(line for line in lines if not line.startswith("#"))


def test_versions_of_python_are_tested_before_they_are_declared() -> None:
    declared = re.findall(r":: (3\.\d+)'", str(PROJECT["classifiers"]))
    assert declared
    assert set(declared) <= set(CI["jobs"]["quick"]["strategy"]["matrix"]["python"])
    assert PROJECT["requires-python"] == f">={declared[0]}"
    listed = f"{', '.join(declared[:-1])} and {declared[-1]}"
    assert f"tested with {listed})" in (ROOT / "README.md").read_text()


def test_the_changelog_has_this_version() -> None:
    versions = re.findall(r"^## (\S+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


@pytest.mark.parametrize("path", [*WORKFLOWS, *DEVELOPERS], ids=lambda path: path.name)
def test_recipes_exist(path: Path) -> None:
    recipes = re.findall(r"^([a-z]+)[^:\n]*:(?!=)", (ROOT / "justfile").read_text(), re.MULTILINE)
    called = re.findall(r"^.*\.venv/bin/just ([a-z ]+)", path.read_text(), re.MULTILINE)
    assert called
    assert {word for words in called for word in words.split()} - {"tests"} <= set(recipes)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_few_rights_and_pinned_actions(path: Path) -> None:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        # Trusted publishing asks for a token instead of a secret.
        assert job.get("permissions", {}) in ({}, {"id-token": "write"})
        for step in job["steps"]:
            assert "uses" not in step or PINNED.fullmatch(step["uses"])
            assert "${{" not in step.get("run", "")
    assert "secrets." not in path.read_text()
