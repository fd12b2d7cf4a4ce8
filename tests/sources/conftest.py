"""Fixtures of the tests of sources."""

from __future__ import annotations

import pytest

from cachedoctor.sources.registry import transport


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client waited between attempts. It does not really wait."""
    seconds: list[float] = []
    monkeypatch.setattr(transport, "sleep", seconds.append)
    return seconds
