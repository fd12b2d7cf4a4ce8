"""What several tests need: fixtures, small documents, and the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from cachedoctor.cacheconfig import decode
from cachedoctor.sources import CacheDocument

FIXTURES = Path(__file__).parent.parent / "fixtures"

Link = tuple[int, str]


def digest(name: str) -> str:
    """The digest of a name."""
    return f"sha256:{sha256(name.encode(errors='backslashreplace')).hexdigest()}"


def record(name: str, *inputs: Sequence[Link | int], layer: int | None = None) -> dict[str, Any]:
    """A record as the document has it; an alternative is a link, or a link with its selector."""
    made: dict[str, Any] = {"digest": digest(name)}
    if layer is not None:
        made["layers"] = [{"layer": layer, "createdAt": "2026-11-24T08:14:45.5Z"}]
    if inputs:
        made["inputs"] = [[_link(one) for one in alternatives] for alternatives in inputs]
    return made


def _link(one: Link | int) -> dict[str, Any]:
    return {"link": one} if isinstance(one, int) else {"selector": one[1], "link": one[0]}


def layers(*parents: int) -> list[dict[str, Any]]:
    """Layers with these parents."""
    return [{"blob": digest(f"layer {index}"), "parent": parent} for index, parent in enumerate(parents)]


def document(
    records: list[dict[str, Any]],
    layers: list[dict[str, Any]] | None = None,
    *,
    source: str = "test.json",
    kind: str = "cache-config",
    blobs: frozenset[str] | None = None,
    size: int = 0,
    manifest_size: int | None = None,
) -> CacheDocument:
    """A cache document as `sources.load` gives it."""
    parsed = json.loads(json.dumps({"layers": layers or [], "records": records}))
    return CacheDocument(
        source=source,
        kind=kind,
        config=decode(parsed, source),
        digest=digest(source),
        size=size,
        manifest_size=manifest_size,
        blobs=blobs,
        platform="",
    )


MEASURING = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
"""What a process has to be told for its coverage to be measured; empty where it is not."""


def run(
    *arguments: str | Path, stdin: bytes | None = None, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cachedoctor", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=120,
        check=False,
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}, **(env or {})},
    )
