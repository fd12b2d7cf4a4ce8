"""Every fuzz target accepts its seeds: whole, cut in half, and changed as the fuzzer changes them."""

import random
from pathlib import Path

import pytest

from cachedoctor.sources import load
from fuzz import containers, seeds
from fuzz.mutators import wire
from fuzz.targets import TARGETS
from tests.support import FIXTURES

CRASHES = [file for file in sorted((FIXTURES / "hostile").rglob("*")) if file.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_targets_accept_their_seeds(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) > 1
    choose = random.Random(1)
    changes = 0
    for data in seeds:
        target.run(data)
        target.run(data[: len(data) // 2])
        changed = target.mutate(data, choose) if target.mutate else None
        if changed is not None:
            changes += changed != data
            target.run(changed)
    assert changes or not target.mutate


@pytest.mark.parametrize("file", CRASHES, ids=lambda file: file.name)
def test_inputs_found_by_fuzzing(file: Path) -> None:
    """Every target accepts every input that once failed."""
    for target in TARGETS.values():
        target.run(file.read_bytes())


@pytest.mark.parametrize("name", ["v0.21.1-image-manifest", "v0.32.2-docker-list", "v0.32.2-inline-multi-platform"])
def test_described_layout_is_the_same_cache(name: str, tmp_path: Path) -> None:
    layout = containers.read(containers.described(FIXTURES / "layouts" / name))
    assert layout
    layout.write(tmp_path)
    again, origin = load(str(tmp_path)), load(str(FIXTURES / "layouts" / name))
    assert [cache.platform for cache in again] == [cache.platform for cache in origin]
    assert [cache.config.links for cache in again] == [cache.config.links for cache in origin]
    assert all(cache.config.links for cache in again)


def test_unchanged_messages_are_written_byte_for_byte() -> None:
    for data in seeds.profiles():
        fields = wire.read(data)
        assert fields
        assert wire.write(fields) == data
        assert wire.read(data[:-1]) is None
