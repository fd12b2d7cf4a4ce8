"""What is fuzzed holds at least for what the fuzzer starts with: whole, cut short, and changed as the fuzzer does."""

import random
from pathlib import Path

import pytest

from fuzz.targets import TARGETS
from tests.support import FIXTURES

FOUND = [file for file in sorted((FIXTURES / "hostile").rglob("*")) if file.is_file()]


@pytest.mark.parametrize("name", TARGETS)
def test_targets_bear_what_the_fuzzer_starts_with(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) > 2
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
def test_what_was_found_once_is_found_no_more(file: Path) -> None:
    """Whatever it is, no reader takes it amiss."""
    for target in TARGETS.values():
        target.run(file.read_bytes())
