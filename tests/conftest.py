"""Fixtures of several packages of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registries import KINDS, Client, push, serve
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLAIN, PLATFORMS

PUSHED = {
    "image-manifest": IMAGE_MANIFEST,
    "manifest-list": MANIFEST_LIST,
    "inline": INLINE,
    "platforms": PLATFORMS,
    "plain": PLAIN,
}


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
