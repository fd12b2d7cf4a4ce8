"""Operations as buildkitd lists them for debugging: the texts behind digests, and what they are in words.

BuildKit v0.24 and later serve the list at `/debug/cache/all`, if started with `--save-cache-debug`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import orjson


def hashed_texts(entries: list[Any]) -> dict[str, str]:
    """The text that each digest is the hash of, from the list of `/debug/cache/all`."""
    return dict(_texts(entries))


def _texts(entries: list[Any]) -> Iterator[tuple[str, str]]:
    """The digest of each entry with the text that it is the hash of; includes sub-records."""
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
    except ValueError:
        return ""


def operation_kind(operation: str) -> str:
    """The kind of an operation, such as `exec`, from its JSON; empty for anything else."""
    kind = _object(operation).get("Type")
    return kind.removeprefix("buildkit.").removesuffix(".v0") if isinstance(kind, str) else ""


def operation_label(operation: str) -> str:
    """A step as a Dockerfile would say it, from the JSON of its operation."""
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
    return operation_kind(operation)


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
    command = words[2] if words[:2] == ["/bin/sh", "-c"] and len(words) == 3 else " ".join(words)
    # Only heredocs have line breaks. What they hold is not shown, as with the lines of a Dockerfile.
    return "RUN, a heredoc" if "\n" in command.strip() else f"RUN {command}"


def _action(action: dict[str, Any]) -> str:
    if "src" in action and "dest" in action:
        return f"COPY {action['src']} {action['dest']}"
    return f"files {action['path']}" if "path" in action else "files"
