"""A plugin of pytest for mutation testing: few examples, the same each time, and none made smaller."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import Phase, settings

MOST_EXAMPLES = int(os.environ.get("MUTATION_EXAMPLES", "30"))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let properties be tried on few examples, whatever their own settings say."""
    test: Any = getattr(item, "obj", None)
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    if own is not None:
        test._hypothesis_internal_use_settings = settings(
            own,
            max_examples=min(own.max_examples, MOST_EXAMPLES),
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
        )
