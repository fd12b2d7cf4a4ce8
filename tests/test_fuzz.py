"""What is fuzzed holds at least for what the fuzzer starts with: whole, cut short, and changed as the fuzzer does."""

import random
from pathlib import Path

import pytest

from cachedoctor.sources import load
from fuzz import containers, seeds
from fuzz.mutators import wire
from fuzz.targets import TARGETS
from tests.support import FIXTURES

FOUND = [file for file in sorted((FIXTURES / "hostile").rglob("*")) if file.is_file()]


@pytest.mark.parametrize("name", TARGETS)
def test_targets_accept_their_seeds(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) > 1
    choose = random.Random(1)
    changed = 0
    for data in seeds:
        target.run(data)
        target.run(data[: len(data) // 2])
        made = target.mutate(data, choose) if target.mutate else None
        if made is not None:
            changed += made != data
            target.run(made)
    assert changed or not target.mutate


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
def test_inputs_found_by_fuzzing(file: Path) -> None:
    """Whatever it is, no reader takes it amiss."""
    for target in TARGETS.values():
        target.run(file.read_bytes())


@pytest.mark.parametrize("name", ["v0.21.1-image-manifest", "v0.32.2-docker-list", "v0.32.2-inline-multi-platform"])
def test_described_layout_is_the_same_cache(name: str, tmp_path: Path) -> None:
    made = containers.read(containers.described(FIXTURES / "layouts" / name))
    assert made
    made.write(tmp_path)
    again, origin = load(str(tmp_path)), load(str(FIXTURES / "layouts" / name))
    assert [one.platform for one in again] == [one.platform for one in origin]
    assert [one.config.links for one in again] == [one.config.links for one in origin]
    assert all(one.config.links for one in again)


def test_unchanged_messages_are_written_byte_for_byte() -> None:
    for data in seeds.profiles():
        fields = wire.read(data)
        assert fields
        assert wire.write(fields) == data
        assert wire.read(data[:-1]) is None
