"""A baseline can come from anyone's branch, so reading one takes bounded time and memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.analysis import baseline
from cachedoctor.errors import InputError

ROW = {"source": "", "rule": "CD201", "severity": "error", "unit": "calls", "value": "7", "exact": True}


def load(folder: Path, *rows: dict[str, Any], spaces: int = 0) -> baseline.Baseline:
    path = folder / "b.json"
    path.write_text(json.dumps({"cachedoctor_baseline": 1, "findings": rows}) + " " * spaces)
    return baseline.load(str(path))


def refused(folder: Path, *rows: dict[str, Any], spaces: int = 0) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, *rows, spaces=spaces)
    return str(caught.value).removeprefix(f"{folder}/b.json: ")


def test_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, ROW)
    monkeypatch.setattr(baseline, "MOST_BYTES", (tmp_path / "b.json").stat().st_size)
    assert load(tmp_path, ROW).entries
    assert "bytes, which is refused" in refused(tmp_path, ROW, spaces=1)


def test_digits_of_one_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "MOST_DIGITS", 10_000)
    ((entry,),) = load(tmp_path, {**ROW, "value": "9" * 10_000}).entries.values()
    assert entry.measure.value == 10**10_000 - 1
    assert refused(tmp_path, ROW, {**ROW, "value": "9" * 10_001}).startswith("findings[1]: expected source, rule,")


def test_digits_of_all_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "MOST_DIGITS_IN_ALL", 3)
    assert load(tmp_path, ROW, ROW, ROW).entries
    assert refused(tmp_path, ROW, ROW, ROW, ROW) == "findings[3]: more than 3 digits up to here"
    assert refused(tmp_path, {**ROW, "value": 7}).startswith("findings[0]: expected source, rule,")
