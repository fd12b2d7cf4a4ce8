"""What a daemon lists for debugging, from a file of any content."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.builds.containers import load
from cachedoctor.builds.dockerfile import LONGEST_TEXT
from cachedoctor.errors import InputError


def entry(digest: str, text: str) -> dict[str, Any]:
    return {"digest": digest, "type": "json", "data": [{"data": b64encode(text.encode()).decode()}]}


def labels(folder: Path, *entries: dict[str, Any]) -> list[str]:
    (folder / "all.json").write_text(json.dumps(entries))
    (build,) = load(str(folder / "all.json"))
    return [step.label for step in build.steps]


def command(text: str) -> dict[str, Any]:
    operation = {"Type": "buildkit.exec.v0", "Exec": {"meta": {"args": ["/bin/sh", "-c", text]}}}
    return entry("sha256:op", json.dumps(operation))


def test_commands_are_cut(tmp_path: Path) -> None:
    (label,) = labels(tmp_path, command("x" * 1000))
    assert label.startswith("RUN xxx")
    assert len(label) == LONGEST_TEXT


def test_values_stay_out(tmp_path: Path) -> None:
    assert labels(tmp_path, command("cat <<EOF\nhunter2\nEOF")) == ["RUN, a heredoc"]
    assert labels(tmp_path, command("docker build --build-arg TOKEN=hunter2 .")) == [
        "RUN docker build --build-arg TOKEN ."
    ]
    assert labels(tmp_path, command("curl https://user:hunter2@example.com/x")) == ["RUN curl https://example.com/x"]


@pytest.mark.parametrize("data", ["é", "?", "/w=="])
def test_a_text_that_cannot_be_decoded_is_no_operation(data: str, tmp_path: Path) -> None:
    damaged = {"digest": "sha256:op", "type": "json", "data": [{"data": data}]}
    with pytest.raises(InputError, match="a list without operations"):
        labels(tmp_path, damaged)
