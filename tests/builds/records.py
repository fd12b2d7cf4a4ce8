"""Records of builds that tests write themselves."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

from cachedoctor.builds.build import Build
from cachedoctor.builds.containers import load
from tests.support import FIXTURES

BUILDS = FIXTURES / "builds"
NOTES = "https://mobyproject.org/buildkit@v1#metadata"


def step(name: str, kind: str = "", op: Any = None, *inputs: str, platform: Any = None) -> dict[str, Any]:
    """A step of a record; `inputs` are such as `step0:0`."""
    written: dict[str, Any] = {"id": name, "op": {"Op": {kind: op} if kind else {}}}
    if platform:
        written["op"]["platform"] = platform
    return written | ({"inputs": list(inputs)} if inputs else {})


def run(*args: str, env: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """The operation of a `RUN`."""
    return {"meta": {"args": list(args), "env": env or [], "cwd": "/"}, "mounts": [{"dest": "/"}], **more}


def copy(src: str, dest: str, *, input: int = 0, secondary: int = 1, **more: Any) -> dict[str, Any]:
    """The operation of a `COPY`."""
    action = {"copy": {"src": src, "dest": dest, "mode": -1, "timestamp": -1, **more}}
    return {"actions": [{"input": input, "secondaryInput": secondary, "output": 0, "Action": action}]}


def source(identifier: str, **attrs: str) -> dict[str, Any]:
    """The operation that gets an image, a repository or a file."""
    written = {name.replace("_", "."): value for name, value in attrs.items()}
    return {"identifier": identifier} | ({"attrs": written} if written else {})


def predicate(
    steps: list[dict[str, Any]],
    *,
    dockerfile: str = "",
    lines: dict[str, list[int]] | None = None,
    args: dict[str, str] | None = None,
    materials: list[dict[str, Any]] | None = None,
    platform: str = "linux/amd64",
    vcs: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Provenance v0.2; `lines` has those of each step in the Dockerfile."""
    info = {"filename": "Dockerfile", "data": base64.b64encode(dockerfile.encode()).decode()}
    ranges = {
        name: {"locations": [{"ranges": [{"start": {"line": line}, "end": {"line": line}} for line in numbers]}]}
        for name, numbers in (lines or {}).items()
    }
    return {
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": materials or [],
        "invocation": {"parameters": {"args": args or {}}, "environment": {"platform": platform}},
        "buildConfig": {"llbDefinition": steps},
        "metadata": {NOTES: {"source": {"locations": ranges, "infos": [info]}, "vcs": vcs or {}}},
    }


def read(document: Any) -> list[Build]:
    """The builds in JSON."""
    return load_bytes(json.dumps(document).encode())


def load_bytes(data: bytes) -> list[Build]:
    """The builds in whatever these bytes are."""
    return load("-", stdin=BytesIO(data))


def only(document: Any) -> Build:
    """The build of a document that has one."""
    (build,) = read(document)
    return build
