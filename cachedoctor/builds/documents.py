"""Records of builds in JSON: provenance bare, in a statement, and in what other programs put around it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cachedoctor.builds.build import Build
from cachedoctor.builds.cache_debug import debug_build
from cachedoctor.builds.predicate import HOW_TO_GET, NoStepsError, is_predicate, predicate_build
from cachedoctor.errors import InputError, reading
from cachedoctor.sources.json import parse

MOST_RECORD_BYTES = 64 << 20
"""Bytes of the JSON of one record, unpacked."""

EXPECTED = (
    "expected the record of a build: a .dockerbuild file, provenance (bare, as in-toto statement, from docker buildx "
    "imagetools inspect, or in a metadata file), /debug/cache/all of buildkitd, or an image with an attestation; for "
    f"the last build: {HOW_TO_GET}"
)

_METADATA = "buildx.build.provenance"


def parsed_builds(parsed: Any) -> list[Build]:
    """The builds in parsed JSON. Raises `InputError`."""
    if isinstance(parsed, list):
        return [debug_build(parsed)]
    if not isinstance(parsed, dict):
        raise InputError(EXPECTED)
    if is_predicate(parsed):
        return [predicate_build(parsed, "predicate")]
    if is_statement(parsed):
        return [predicate_build(predicate_of(parsed), "statement")]
    if isinstance(parsed.get("Provenance"), dict):
        parsed = parsed["Provenance"]
    found = list(_inspected(parsed)) or list(_metadata(parsed))
    if not found:
        what = (
            "a cache, or a manifest, and not the record of a build; "
            if {"records", "layers", "manifests"} & parsed.keys()
            else ""
        )
        raise InputError(f"{what}{EXPECTED}")
    return full_builds(found)


def _inspected(parsed: dict[str, Any]) -> Iterator[Callable[[], Build]]:
    """What `docker buildx imagetools inspect` shows, of one platform or of several."""
    several = {"": parsed} if "SLSA" in parsed else parsed
    for platform, shown in several.items():
        if isinstance(shown, dict) and is_predicate(predicate := shown.get("SLSA")):
            yield _later(predicate, "imagetools", platform)


def _metadata(parsed: dict[str, Any]) -> Iterator[Callable[[], Build]]:
    """What `docker buildx build --metadata-file` wrote; bake has one level more, by target."""
    for file in (parsed, *parsed.values()):
        for key, value in file.items() if isinstance(file, dict) else ():
            name, _, platform = key.partition("/")
            if name == _METADATA and is_predicate(value):
                yield _later(value, "metadata", platform)


def _later(predicate: Any, kind: str, platform: str) -> Callable[[], Build]:
    return lambda: predicate_build(predicate, kind, platform=platform)


def full_builds(found: Iterable[Callable[[], Build]]) -> list[Build]:
    """The builds with steps among several. Raises `InputError` if none has any, or if one cannot be read."""
    builds: list[Build] = []
    without: NoStepsError | None = None
    for make in found:
        try:
            builds.append(make())
        except NoStepsError as error:
            without = error
    if without and not builds:
        raise without
    return builds


def is_statement(parsed: dict[str, Any]) -> bool:
    """Whether this is an in-toto statement, or the envelope of one (DSSE v1)."""
    return isinstance(parsed.get("predicate"), dict) or isinstance(parsed.get("payload"), str)


def predicate_of(parsed: dict[str, Any]) -> dict[str, Any]:
    """The predicate of a statement, also in its envelope. Raises `InputError`."""
    if "predicate" not in parsed:
        try:
            data = base64.b64decode(parsed["payload"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("expected base64", "$.payload") from error
        with reading(where="$.payload"):
            parsed = parse(data)
    predicate = parsed.get("predicate") if isinstance(parsed, dict) else None
    if not isinstance(predicate, dict) or not is_predicate(predicate):
        raise InputError(f"a statement about something else than a build; {EXPECTED}")
    return predicate
