"""Tables of JSON keys, from the schemas in `docs/schema/`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.markdown import table, words

Schema = dict[str, Any]

SCHEMAS = Path(__file__).parent.parent / "docs/schema"
COMPACT = ({"min", "max"}, {"min", "typical", "max"}, {"name", "version"})
"""Objects that have just these keys take one row."""
NAMED = {"count": "count", "digits": "string of digits"}
"""What the pages call the definitions that all schemas share."""


def keys(name: str, below: str = "", *, levels: int | None = None, check: bool = False) -> str:
    """A table of the keys of the schema `name`.

    With `below`, only those below this path, such as `loops[]`. With `levels`, only that many levels of them. With
    `check`, only the keys that `check` adds to the document of `analyze`, which no other table has.

    Raises `ValueError` if there are none, or if one is not described.
    """
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    start = f"{below}." if below else ""
    rows = [
        (f"`{path}`", _type(schema, value), _meaning(value, f"{name}.json: {path}"))
        for path, value in _values(schema, schema)
        if path.startswith(start)
        and (levels is None or path.removeprefix(start).count(".") < levels)
        and _is_of_check(schema, path) is check
    ]
    if not rows:
        raise ValueError(f"{name}.json has no such keys")
    return table(("key", "type", "meaning"), rows)


def _values(root: Schema, parent: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Each key below a schema as a path, such as `loops[].records`, with the schema of its value."""
    parent = _resolved(root, parent)
    for key, value in parent.get("properties", {}).items():
        inner = f"{path}.{key}" if path else key
        yield inner, value
        if value.get("$ref", "").rpartition("/")[2] not in NAMED and not _is_compact(value):
            yield from _values(root, value, inner)
    if "oneOf" in parent:
        for option in parent["oneOf"]:
            yield from _values(root, option, path)
    if "items" in parent:
        yield from _values(root, parent["items"], f"{path}[]")


def _resolved(root: Schema, value: Schema) -> Schema:
    """What a reference within a schema refers to."""
    target: Schema = root["$defs"][value["$ref"].removeprefix("#/$defs/")] if "$ref" in value else value
    return target


def _is_compact(value: Schema) -> bool:
    return set(value.get("properties", ())) in COMPACT


def _is_of_check(schema: Schema, path: str) -> bool:
    """Whether only `check` writes a key."""
    added = schema.get("then", {})
    within = {
        f"{key}[].{name}" for key, value in added.get("properties", {}).items() for name in value["items"]["required"]
    }
    return path in within or path.split(".")[0].removesuffix("[]") in added.get("required", ())


def _type(root: Schema, value: Schema) -> str:
    """A type in words."""
    if "$ref" in value:
        return NAMED.get(value["$ref"].rpartition("/")[2], "object")
    if _is_compact(value):
        each = dict.fromkeys(_type(root, part) for part in value["properties"].values())
        return f"{words(list(value['properties']), 'and')}: {' or '.join(each)}"
    if "oneOf" in value:
        return " or ".join(_type(root, option) for option in value["oneOf"])
    constants = [value["const"]] if "const" in value else value.get("enum")
    if constants:
        return "integer" if isinstance(constants[0], int) else "string"
    kinds = [value["type"]] if isinstance(value["type"], str) else value["type"]
    if kinds == ["array"]:
        items = _resolved(root, value["items"])["type"]
        return "array" if items == "object" else f"array of {_plural(items)}"
    return " or ".join("float" if kind == "number" else kind for kind in kinds)


def _plural(kind: str | list[str]) -> str:
    return " or ".join(f"{name}s" for name in ([kind] if isinstance(kind, str) else kind))


def _meaning(value: Schema, path: str) -> str:
    if not value.get("description"):
        raise ValueError(f"{path} has no description")
    known = [value["const"]] if "const" in value else value.get("enum") or value.get("examples") or ()
    return f"{value['description']}{f': {words(known)}' if known else ''}"
