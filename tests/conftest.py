"""Fixtures that several packages of tests use, and how many examples their properties try."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.registries import KINDS, Client, push, serve
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLAIN, PLATFORMS

PUSHED = {
    "image-manifest": IMAGE_MANIFEST,
    "manifest-list": MANIFEST_LIST,
    "inline": INLINE,
    "platforms": PLATFORMS,
    "plain": PLAIN,
}

QUICK, LONG = "quick", "long"
QUICK_EXAMPLES = 40
"""A property tries at most this many in the quick profile, and as many as it asks for in the long one."""

settings.register_profile(QUICK, max_examples=QUICK_EXAMPLES, deadline=None)
settings.register_profile(LONG, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", QUICK))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let properties try few examples in the quick profile."""
    test: Any = getattr(item, "obj", None)
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None and settings.get_current_profile_name() == QUICK:
        test._hypothesis_internal_use_settings = settings(own, max_examples=min(own.max_examples, QUICK_EXAMPLES))


@pytest.fixture(scope="session", params=KINDS)
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry for everybody, with the layouts as tags of `app`."""
    with serve(request.param, tmp_path_factory.mktemp("registry")) as address:
        for tag, layout in PUSHED.items():
            push(address, layout, "app", tag)
        yield address


@pytest.fixture(scope="session", params=KINDS)
def private(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that asks for a password."""
    with serve(request.param, tmp_path_factory.mktemp("private"), private=True) as address:
        push(address, IMAGE_MANIFEST, "team/app", "main")
        yield address


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """The command, without any credentials."""
    (tmp_path / "docker").mkdir()
    return Client(tmp_path / "docker")
