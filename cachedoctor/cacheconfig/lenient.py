"""Reads a cache config by all the rules of Go's `encoding/json`, or says why something is not a cache config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from typing import Any

from cachedoctor.cacheconfig import typed
from cachedoctor.cacheconfig.document import MOST_NESTED, CacheConfig, is_time, nested_too_deep
from cachedoctor.errors import InputError

MOST_UNKNOWN = 100
"""Unknown fields that are reported for one type of object."""

_INT64 = 1 << 63
_JSON_TYPES = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean"}

_Read = Callable[[Any, str], Any]
"""Takes a value and its JSON path."""


class Reader:
    """Reads a parsed document, and empties it on the way to save memory.

    A field that is `null` is absent, an element that is `null` has its zero value. The case of a field does not matter;
    of several that differ only in case, the last one counts. Unknown fields of layers are kept, others only reported.
    Raises `InputError` with the JSON path of the first value of a wrong type.
    """

    def __init__(self) -> None:
        self._layer_fields: list[dict[str, Any] | None] = []
        self._unknown: dict[str, set[str]] = {}

    def document(self, value: object, where: str) -> CacheConfig:
        """A cache config."""
        if not isinstance(value, dict):
            raise InputError(f"expected a cache config object, found {_type_of(value)}", where)
        fields = self._fields(value, where, {"layers": self._list_of(self._layer), "records": self._records}, "")
        return self._columns(typed.Document(**fields))

    def inline(self, value: object, blobs: Sequence[str], where: str) -> CacheConfig:
        """The records of an inline cache, whose layers are `blobs`."""
        self._layer_fields = [None] * len(blobs)
        return self._columns(typed.Document(typed.inline_layers(blobs), self._records(value, where)))

    def _columns(self, document: typed.Document) -> CacheConfig:
        names = [
            prefix + name for prefix, unknown in self._unknown.items() for name in nsmallest(MOST_UNKNOWN, unknown)
        ]
        config = typed.columns(document, self._layer_fields, tuple(sorted(names)))
        assert config is not None
        return config

    def _fields(
        self, value: object, where: str, known: Mapping[str, _Read], prefix: str | None = None
    ) -> dict[str, Any]:
        """The known fields of an object that are not `null`. Unknown ones are reported, unless `prefix` is `None`."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _wrong_type(where, "an object", value)
        fields = {}
        for key, written in value.items():
            name = _field(key, known)
            if name is None:
                if prefix is not None:
                    self._unknown.setdefault(prefix, set()).add(key)
            elif written is not None:
                fields[name] = known[name](written, f"{where}.{key}")
        return fields

    def _list_of(self, element: _Read) -> _Read:
        return partial(_list, element)

    def _records(self, value: object, where: str) -> list[typed.Record]:
        return _list(self._record, value, where)

    def _layer(self, value: object, where: str) -> typed.Layer:
        if nested_too_deep(value):
            raise InputError(f"nested more than {MOST_NESTED} deep", where)
        layer = typed.Layer(**self._fields(value, where, _LAYER_FIELDS))
        written = value if isinstance(value, dict) else {}
        others = {key: field for key, field in written.items() if _field(key, _LAYER_FIELDS) is None}
        self._layer_fields.append(others or None)
        return layer

    def _record(self, value: object, where: str) -> typed.Record:
        known = {
            "digest": _string,
            "inputs": self._list_of(self._list_of(self._link)),
            "layers": self._list_of(self._result),
            "chains": self._list_of(self._chain),
        }
        return typed.Record(**self._fields(value, where, known, "records[]."))

    def _link(self, value: object, where: str) -> typed.Link:
        known = {"link": _integer, "selector": _string}
        return typed.Link(**self._fields(value, where, known, "records[].inputs[][]."))

    def _result(self, value: object, where: str) -> typed.Result:
        fields = self._fields(value, where, {"layer": _integer, "createdAt": _time}, "records[].layers[].")
        return typed.Result(fields.get("layer", 0), fields.get("createdAt"))

    def _chain(self, value: object, where: str) -> typed.Chain:
        known = {"layers": self._list_of(_integer), "createdAt": _time}
        fields = self._fields(value, where, known, "records[].chains[].")
        return typed.Chain(fields.get("layers", []), fields.get("createdAt"))


def _field(key: str, known: Mapping[str, _Read]) -> str | None:
    """The field that a key stands for: Go takes one that differs only in case, if there is none of that name."""
    if key in known:
        return key
    folded = key.casefold()
    return next((name for name in known if name.casefold() == folded), None)


def _list(element: _Read, value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong_type(where, "an array", value)
    elements = []
    for index, item in enumerate(value):
        elements.append(element(item, f"{where}[{index}]"))
        value[index] = None
    return elements


def _integer(value: object, where: str) -> int:
    if value is None:
        return 0
    if type(value) is not int:
        raise _wrong_type(where, "an integer", value)
    if not -_INT64 <= value < _INT64:
        raise InputError("expected an integer of 64 bits, found a larger one", where)
    return value


def _string(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(where, "a string", value)
    return value


_LAYER_FIELDS: Mapping[str, _Read] = {"blob": _string, "parent": _integer}


def _time(value: object, where: str) -> str:
    text = _string(value, where)
    if not is_time(text):
        raise InputError("expected a time as RFC 3339 writes it", where)
    return text


def _wrong_type(where: str, expected: str, found: object) -> InputError:
    return InputError(f"expected {expected}, found {_type_of(found)}", where)


def _type_of(value: object) -> str:
    return "null" if value is None else _JSON_TYPES.get(type(value), type(value).__name__)
