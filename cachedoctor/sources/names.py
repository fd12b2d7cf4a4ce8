"""What records are called: the steps behind their digests, as a debugging buildkitd tells them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from cachedoctor.errors import InputError
from cachedoctor.io.streams import read_fully
from cachedoctor.sources.json import parse

MOST_BYTES = 256 << 20
LONGEST_LABEL = 120


def load_names(path: str) -> dict[str, str]:
    """Read what buildkitd serves at `/debug/cache/all` and give each digest that stands for a step its label.

    BuildKit v0.24 and later serve it, started with `--save-cache-debug`, where `Accept: application/json` is asked
    for. A record's digest hashes the text `<op digest>@<output index>`; the entry of the op digest holds the JSON of
    the operation. Entries of any other shape get no label.

    Raises `InputError` where the file is not such a list.
    """
    try:
        with Path(path).open("rb") as file:
            data = read_fully(file, MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"cannot read it: {reason}", source=path) from error
    entries = parse(data, path) if len(data) <= MOST_BYTES else None
    if not isinstance(entries, list):
        raise InputError("expected the JSON list of /debug/cache/all, of 256 MiB at most", source=path)
    texts = dict(_texts(entries))
    labels = {}
    for digest, text in texts.items():
        operation, at, output = text.partition("@")
        label = _label(texts.get(operation, "")) if at else ""
        if at and output == "-1":
            label = label or "content of files"
        if label:
            labels[digest] = label[:LONGEST_LABEL]
    return labels


def _texts(entries: list[Any]) -> Iterator[tuple[str, str]]:
    """Each entry's digest with the text that was hashed, sub-records included."""
    pending = list(entries)
    while pending:
        entry = pending.pop()
        if not isinstance(entry, dict):
            continue
        digest, data, below = entry.get("digest"), entry.get("data"), entry.get("subRecords")
        if isinstance(below, list):
            pending += below
        if isinstance(digest, str) and isinstance(data, list) and data and entry.get("type") in ("string", "json"):
            yield digest, _decoded(data[0].get("data") if isinstance(data[0], dict) else None)


def _decoded(data: object) -> str:
    try:
        return base64.b64decode(data, validate=True).decode() if isinstance(data, str) else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _label(operation: str) -> str:
    """A step as a Dockerfile would have it, from the JSON of its operation."""
    parsed = _object(operation)
    kind = parsed.get("Type")
    if kind == "buildkit.exec.v0":
        return _exec(parsed)
    if kind == "buildkit.file.v0":
        actions = parsed.get("Actions")
        return (
            "; ".join(_action(_object(_decoded(action))) for action in actions)
            if isinstance(actions, list)
            else "files"
        )
    return str(kind).removeprefix("buildkit.").removesuffix(".v0") if isinstance(kind, str) else ""


def _object(text: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _exec(operation: dict[str, Any]) -> str:
    run = operation.get("Exec")
    meta = run.get("meta") if isinstance(run, dict) else None
    args = meta.get("args") if isinstance(meta, dict) else None
    if not isinstance(args, list):
        return "RUN"
    words = [str(arg) for arg in args]
    return f"RUN {words[2] if words[:2] == ['/bin/sh', '-c'] and len(words) == 3 else ' '.join(words)}"


def _action(action: dict[str, Any]) -> str:
    if "src" in action and "dest" in action:
        return f"COPY {action['src']} {action['dest']}"
    return f"files {action['path']}" if "path" in action else "files"
