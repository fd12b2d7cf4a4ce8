"""From parsed JSON to a `CacheConfig`, by the rules of Go's `encoding/json` with `omitempty`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

from cachedoctor.cacheconfig.document import NO_PARENT, CacheConfig
from cachedoctor.errors import InputError

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"
"""Media type of the cache config (BuildKit `cache/remotecache/v1.CacheConfigMediaTypeV0`)."""

MOST_NESTED = 100
"""Arrays and objects in each other, in what is kept as it was read: no writer of JSON bears any number of them."""
MOST_UNKNOWN = 100
"""Unknown fields that are told of one place."""

_CLOCK = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d++)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_TIME = re.compile(rf"(\d{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]){_CLOCK}", re.ASCII)
_TIMES = re.compile(rf"(?:\d{{4}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8]){_CLOCK}\n)*+", re.ASCII)
_INT64 = 1 << 63
_LAYER = {"blob", "parent"}


def decode(document: object, source: str, where: str = "$") -> CacheConfig:
    """Decode the parsed JSON of a cache config. `document` is emptied on the way, to bound memory.

    Absent and `null` fields take Go's zero value, so an absent `parent` is layer 0 and an absent `link` record 0
    (BuildKit v0.8 to v0.32, `cache/remotecache/v1.CacheConfig`). Indices are not checked against the document here.

    Raises `InputError` with the JSON path of the first value of a wrong type.
    """
    if not isinstance(document, dict):
        raise InputError(f"expected a cache config object, found {_kind(document)}", where, source=source)
    config = _read(document, lambda: _SlowReader(source).document(document, where))
    document.clear()
    return config


def decode_inline(records: object, blobs: Sequence[str], source: str, where: str = "$") -> CacheConfig:
    """Decode the records of an inline cache: the parsed JSON of `moby.buildkit.cache.v0` of an image config.

    The layers are the image's own, in order, each the child of the one before (BuildKit
    `cache/remotecache/inline` and `cache/remotecache/import.go`, `importInlineCache`). Raises as `decode` does.
    """
    layers = [{"blob": blob, "parent": index - 1} for index, blob in enumerate(blobs)]
    document = {"layers": layers, "records": records}

    def mend() -> None:
        document["records"] = _SlowReader(source).records(records, where)

    return _read(document, mend)


def _read(document: dict[str, Any], mend: Callable[[], None]) -> CacheConfig:
    """Read fast; where a type is off, `mend` has to make the document right or raise `InputError`."""
    try:
        columns = _Columns(document)
        fits = columns.fit()
    except (TypeError, AttributeError):
        fits = False
    if not fits:
        mend()
        columns = _Columns(document)
        assert columns.fit()
    return columns.config()


class _Columns:
    """The columns of a document, at the speed of comprehensions. Raises whatever comes of a type that is off."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.layers = document.get("layers", [])
        self.records = document.get("records", [])
        if type(self.layers) is not list or type(self.records) is not list:
            raise TypeError
        self.blobs = _Field(self.layers, "blob", "")
        self.parents = _Field(self.layers, "parent", 0)
        self.layer_fields = _layer_fields(self.layers, self.blobs.present + self.parents.present)
        self.digests = _Field(self.records, "digest", "")
        self.inputs_of = _Field(self.records, "inputs", ())
        self.inputs = list(chain.from_iterable(self.inputs_of.values))
        self.link_objects = list(chain.from_iterable(self.inputs))
        self.links = _Field(self.link_objects, "link", 0)
        self.selectors = _Field(self.link_objects, "selector", "")
        self.results_of = _Field(self.records, "layers", ())
        self.result_objects = list(chain.from_iterable(self.results_of.values))
        self.results = _Field(self.result_objects, "layer", 0)
        self.created = _Field(self.result_objects, "createdAt", None)
        present = self.digests.present + self.inputs_of.present + self.results_of.present
        self.has_others = present != sum(map(len, self.records))
        named = enumerate(self.records) if self.has_others else ()
        self.chains_of = [(index, record["chains"]) for index, record in named if "chains" in record]
        self.chains = [
            (index, item.get("layers", []), item.get("createdAt")) for index, items in self.chains_of for item in items
        ]

    def fit(self) -> bool:
        """Whether each value is of its type."""
        chained = [listed for _, listed, _ in self.chains]
        return (
            all(type(item) is list for item in (*(items for _, items in self.chains_of), *chained))
            and all(_all_of(list, lists) for lists in (self.inputs_of.values, self.inputs, self.results_of.values))
            and all(_all_of(int, numbers.values) for numbers in (self.parents, self.links, self.results))
            and all(_all_of(int, listed) for listed in chained)
            and all(_all_of(str, texts.values) for texts in (self.blobs, self.digests, self.selectors))
            and _are_times(self.created.values)
            and _are_times([created for _, _, created in self.chains])
            and _in_int64(self.parents.values, self.links.values, self.results.values, *chained)
            and not any(fields and nested_too_deep(fields) for fields in self.layer_fields)
        )

    def unknown(self) -> tuple[str, ...]:
        """The fields that BuildKit does not have, but for those of layers; looked for only where there must be some."""
        found = _others("", self.document, {"layers", "records"})
        if self.has_others:
            names = chain.from_iterable(self.records)
            found |= _others("records[].", names, {"layers", "chains", "digest", "inputs"})
        if self.links.present + self.selectors.present != sum(map(len, self.link_objects)):
            names = chain.from_iterable(self.link_objects)
            found |= _others("records[].inputs[][].", names, {"selector", "link"})
        if self.results.present + self.created.present != sum(map(len, self.result_objects)):
            names = chain.from_iterable(self.result_objects)
            found |= _others("records[].layers[].", names, {"layer", "createdAt"})
        names = chain.from_iterable(item for _, items in self.chains_of for item in items)
        return tuple(sorted(found | _others("records[].chains[].", names, {"layers", "createdAt"})))

    def config(self) -> CacheConfig:
        """The config that they are."""
        return CacheConfig(
            blobs=self.blobs.values,
            parents=self.parents.values,
            digests=self.digests.values,
            input_start=_offsets(self.inputs_of.values),
            link_start=_offsets(self.inputs),
            links=self.links.values,
            selectors=self.selectors.values,
            result_start=_offsets(self.results_of.values),
            results=self.results.values,
            result_created=[created or "" for created in self.created.values],
            chains=[(index, listed, created or "") for index, listed, created in self.chains],
            layer_fields=self.layer_fields,
            unknown_fields=self.unknown(),
        )


class _Field:
    """One field of many objects. Raises `TypeError` or `AttributeError` where one is no object."""

    def __init__(self, objects: Sequence[Any], name: str, default: object) -> None:
        self.values: list[Any]
        self.present: int
        """At least so many objects have it: one with the default may have it or not. Where these of all fields add up
        to all keys that there are, there is no other field."""
        try:
            self.values = list(map(itemgetter(name), objects))
            self.present = len(self.values)
        except KeyError:
            self.values = [one.get(name, default) for one in objects]
            self.present = len(self.values) - self.values.count(default)


def _layer_fields(layers: Sequence[dict[str, Any]], known: int) -> list[dict[str, Any] | None]:
    if known == sum(map(len, layers)):
        return [None] * len(layers)
    return [
        None if layer.keys() <= _LAYER else {name: layer[name] for name in layer if name not in _LAYER}
        for layer in layers
    ]


def _others(place: str, names: Iterable[str], known: set[str]) -> set[str]:
    return {f"{place}{name}" for name in nsmallest(MOST_UNKNOWN, set(names).difference(known))}


def _offsets(lists: Sequence[Sequence[object]]) -> list[int]:
    return [0, *accumulate(map(len, lists))]


def _all_of(kind: type, values: Sequence[object]) -> bool:
    """Whether every value is exactly of `kind` (a bool is no int); the empty tuple stands for an absent list."""
    return set(map(type, values)) <= ({kind, tuple} if kind is list else {kind})


def _are_times(values: Sequence[object]) -> bool:
    """Whether each is a time or absent. Most are of days that every month has, which one match tells of all."""
    if not set(map(type, values)) <= {str, type(None)}:
        return False
    texts = [str(value) for value in values if value is not None]
    lines = "\n".join([*texts, ""])
    # A text with a line break in it could be two times.
    whole = lines.count("\n") == len(texts)
    return (whole and _TIMES.fullmatch(lines) is not None) or all(map(_is_time, texts))


def _is_time(text: object) -> bool:
    """Whether Go reads it as a time (`time.Time.UnmarshalJSON`, RFC 3339)."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return False
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    return day <= 28 or day <= (_days_of_february(year) if month == 2 else 30 + (month in _LONG_MONTHS))


_LONG_MONTHS = frozenset({1, 3, 5, 7, 8, 10, 12})


def _days_of_february(year: int) -> int:
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28


def nested_too_deep(value: object) -> bool:
    """Whether arrays and objects are nested in each other more than `MOST_NESTED` times."""
    level = [value]
    for _ in range(MOST_NESTED):
        level = [below for one in level for below in _containers(one)]
        if not level:
            return False
    return True


def _containers(value: Any) -> list[Any]:
    """The arrays and objects right in one."""
    elements = value.values() if type(value) is dict else value if type(value) is list else ()
    return [one for one in elements if type(one) is dict or type(one) is list]


def _in_int64(*columns: Sequence[int]) -> bool:
    return all(not column or (max(column) < _INT64 and min(column) >= -_INT64) for column in columns)


_NAMES = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean"}


def _kind(value: object) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


class _SlowReader:
    """Walks a document that the fast reader would not take: drops `null`s, or names the place that is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, where: str, expected: str, found: object) -> InputError:
        return InputError(f"expected {expected}, found {_kind(found)}", where, source=self.source)

    def slice_of(self, value: object, where: str, element: Callable[[Any, str], Any]) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fail(where, "an array", value)
        for index, item in enumerate(value):
            value[index] = element(item, f"{where}[{index}]")
        return value

    def struct(self, value: object, where: str, fields: dict[str, Callable[[Any, str], Any]]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fail(where, "an object", value)
        for name, field in fields.items():
            if name in value:
                if value[name] is None:
                    del value[name]
                else:
                    value[name] = field(value[name], f"{where}.{name}")
        return value

    def integer(self, value: object, where: str) -> int:
        if value is None:
            return 0
        if type(value) is not int:
            raise self.fail(where, "an integer", value)
        if not -_INT64 <= value < _INT64:
            raise InputError("expected an integer of 64 bits, found a larger one", where, source=self.source)
        return value

    def string(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise self.fail(where, "a string", value)
        return value

    def time(self, value: object, where: str) -> str:
        if not _is_time(self.string(value, where)):
            raise InputError("expected a time as RFC 3339 writes it", where, source=self.source)
        return str(value)

    def document(self, value: dict[str, Any], where: str) -> None:
        self.struct(
            value,
            where,
            {"layers": self._each(self.layer), "records": self.records},
        )

    def records(self, value: object, where: str) -> list[Any]:
        return self.slice_of(value, where, self.record)

    def _each(self, element: Callable[[Any, str], Any]) -> Callable[[Any, str], list[Any]]:
        return lambda value, where: self.slice_of(value, where, element)

    def layer(self, value: object, where: str) -> dict[str, Any]:
        if nested_too_deep(value):
            raise InputError(f"nested more than {MOST_NESTED} deep", where, source=self.source)
        return self.struct(value, where, {"blob": self.string, "parent": self.integer})

    def record(self, value: object, where: str) -> dict[str, Any]:
        fields = {
            "digest": self.string,
            "inputs": self._each(self._each(self.link)),
            "layers": self._each(self.result),
            "chains": self._each(self.chain),
        }
        return self.struct(value, where, fields)

    def link(self, value: object, where: str) -> dict[str, Any]:
        return self.struct(value, where, {"link": self.integer, "selector": self.string})

    def result(self, value: object, where: str) -> dict[str, Any]:
        return self.struct(value, where, {"layer": self.integer, "createdAt": self.time})

    def chain(self, value: object, where: str) -> dict[str, Any]:
        return self.struct(value, where, {"layers": self._each(self.integer), "createdAt": self.time})


__all__ = ["MEDIA_TYPE", "MOST_NESTED", "NO_PARENT", "decode", "decode_inline", "nested_too_deep"]
