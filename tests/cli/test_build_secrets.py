"""Records of builds hold build arguments and the environment in clear text; no report shows or hints at any of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.rendered import OF_ANALYSES, OF_PROFILES, OF_REPAIRS
from tests.support import FIXTURES, run

SERVICE = FIXTURES / "manifests/service.json"
SECRET = "hunter2"
"""Part of every value that must not be shown."""
DOCKERFILE = f"""\
FROM scratch
ENV A={SECRET}-a B="{SECRET} b" \\
    C={SECRET}-c
ARG TOKEN={SECRET}-arg
RUN --mount=type=secret,id=token <<EOF
{SECRET}-heredoc
EOF
env password {SECRET}-old-style
COPY <<EOF /etc/token
{SECRET}-file
EOF
ADD https://user:{SECRET}-url@example.com/x /x
RUN docker build --build-arg TOKEN={SECRET}-inner .
"""
LINES = [(1, 1), (2, 3), (4, 4), (5, 7), (8, 8), (9, 11), (12, 12), (13, 13), (4, 4)]


@pytest.fixture
def records(tmp_path: Path) -> dict[str, Path]:
    """The records of two builds that differ in their secrets, which are in every place that a daemon writes."""
    paths = {}
    for name in ("today", "yesterday"):
        statement = json.loads((FIXTURES / "builds/captures/service.json").read_bytes())
        _poison(statement["predicate"], f"{SECRET}-{name}")
        paths[name] = tmp_path / f"{name}.json"
        paths[name].write_text(json.dumps(statement))
    return paths


def _poison(predicate: dict[str, Any], value: str) -> None:
    request = predicate["buildDefinition"]["externalParameters"]["request"]
    request["args"] = {"build-arg:TOKEN": value, "target": "app"}
    request["secrets"] = [{"id": value}]
    steps = predicate["buildDefinition"]["internalParameters"]["buildConfig"]["llbDefinition"]
    for step in steps:
        exec = step["op"]["Op"].get("exec")
        if exec:
            exec["meta"]["env"] = [*exec["meta"].get("env", ()), f"TOKEN={value}"]
            exec["meta"]["proxy_env"] = {"http_proxy": f"http://user:{value}@proxy"}
            exec["secretenv"] = [{"ID": "token", "name": "TOKEN"}]
    metadata = predicate["runDetails"]["metadata"]["buildkit_metadata"]
    metadata["source"]["infos"][0]["data"] = base64.b64encode(DOCKERFILE.encode()).decode()
    for number, (line, end) in enumerate(LINES):
        ranges = [{"start": {"line": at}, "end": {"line": at}} for at in range(line, end + 1)]
        metadata["source"]["locations"][f"step{number}"] = {"locations": [{"ranges": ranges}]}


def commands(records: dict[str, Path]) -> Iterator[tuple[str | Path, ...]]:
    """Every command in every format, with every option that reads such a record."""
    today, yesterday = records["today"], records["yesterday"]
    for format in OF_ANALYSES:
        yield ("analyze", SERVICE, "--build", today, "--before", yesterday, "-v", "--format", format)
        limits = ("--min-hits", "100", "--max-calls", "1", "--fail-on", "note")
        yield ("check", SERVICE, "--build", today, "--before", yesterday, *limits, "-v", "--format", format)
    for format in OF_REPAIRS:
        yield ("repair", SERVICE, "--build", today, "--dry-run", "--prune", "minimal", "-v", "--format", format)
    stuck = FIXTURES / "profiles/cpu-stuck.pprof"
    for format in OF_PROFILES:
        yield ("profile", stuck, "--cache", SERVICE, "--build", today, "-v", "--format", format)


def test_no_value_is_shown(records: dict[str, Path]) -> None:
    for arguments in commands(records):
        done = run(*arguments)
        assert done.returncode in (0, 1), done.stderr
        assert done.stdout
        assert SECRET.encode() not in done.stdout + done.stderr, arguments


def test_what_differs_is_named_without_its_value(records: dict[str, Path]) -> None:
    done = run("analyze", SERVICE, "--build", records["today"], "--before", records["yesterday"], "--format", "json")
    steps = json.loads(done.stdout)["hits"][0]["steps"]
    assert any("TOKEN" in step["because"] for step in steps)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_broken_record_does_not_show_what_is_in_it(records: dict[str, Path], share: float) -> None:
    data = records["today"].read_bytes()
    records["today"].write_bytes(data[: int(len(data) * share)])
    done = run("analyze", SERVICE, "--build", records["today"])
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert SECRET.encode() not in done.stdout + done.stderr
