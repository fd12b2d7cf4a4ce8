"""Fixtures that several packages of tests use, and how many examples their properties try."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.registries import TINY, Client, protected, public
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLAIN, PLATFORMS

PUSHED = {
    "image-manifest": IMAGE_MANIFEST,
    "manifest-list": MANIFEST_LIST,
    "inline": INLINE,
    "platforms": PLATFORMS,
    "plain": PLAIN,
}

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
"""The profile of hypothesis that is used; the option --hypothesis-profile overrides it."""
MOST_EXAMPLES = {"quick": 25, "mutation": int(os.environ.get("MUTATION_EXAMPLES", "30"))}
"""How many examples properties try at most. In the profile `long` they try as many as they ask for."""

settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None)
settings.register_profile(
    "mutation", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile(PROFILE)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Limit the examples of a property to those of the profile."""
    test: Any = getattr(item, "obj", None)
    current = getattr(test, "_hypothesis_internal_use_settings", None)
    most = MOST_EXAMPLES.get(item.config.getoption("--hypothesis-profile") or PROFILE)
    if current is not None and most is not None:
        test._hypothesis_internal_use_settings = settings(current, max_examples=min(current.max_examples, most))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run files and tests that are named in this process, where a debugger reaches them, and folders on all cores."""
    folder = config.invocation_params.dir
    return None if all((folder / name).is_dir() for name in config.args) else 0


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a public registry, with the layouts as tags of `app`."""
    with public(TINY, tmp_path_factory.mktemp("registry"), PUSHED) as address:
        yield address


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that requires a password."""
    with protected(TINY, tmp_path_factory.mktemp("private"), IMAGE_MANIFEST) as address:
        yield address


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """The command, without credentials."""
    (tmp_path / "docker").mkdir()
    return Client(tmp_path / "docker")
