"""What is fuzzed holds at least for what the fuzzer starts with, whole and cut short."""

import pytest

from fuzz.targets import TARGETS, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_targets_bear_the_corpus(name: str) -> None:
    files = corpus(name)
    assert len(files) > 5
    for data in files:
        TARGETS[name](data)
        TARGETS[name](data[: len(data) // 2])
