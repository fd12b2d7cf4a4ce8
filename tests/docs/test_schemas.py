"""All JSON output fits its schema, and every key of a schema is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.docs.pages import DOCS
from tests.support import FIXTURES, run

NAMES = ("analysis", "repair", "profile", "baseline")
SCHEMAS = {name: json.loads((DOCS / f"schema/{name}.json").read_text(encoding="utf-8")) for name in NAMES}

GOLDENS = FIXTURES.parent / "tests/report"
CACHES = [
    *sorted((FIXTURES / "manifests").iterdir()),
    *sorted((FIXTURES / "exporter-state").iterdir()),
    *(path for path in sorted((FIXTURES / "layouts").iterdir()) if path.name != "plain-image"),
]
PROFILES = sorted((FIXTURES / "profiles").iterdir())
TAGS = [FIXTURES / "manifests/tag-a.json", FIXTURES / "manifests/tag-b.json"]
DIAMONDS = FIXTURES / "manifests/diamond-28.json"
CAPTURES = FIXTURES / "builds/captures"
BUNDLE = FIXTURES / "builds/bundle-v0.32.2.cache.json"
WAITING = """\
goroutine 7 [IO wait, 12 minutes]:
net/http.(*persistConn).roundTrip(0xc000001000)
\t/usr/local/go/src/net/http/transport.go:2790 +0x100
github.com/moby/buildkit/util/push.Push(0xc000002000)
\t/src/util/push/push.go:40 +0x100
"""
"""A goroutine of a build that does not export a cache."""


def closed(schema: Any) -> Any:
    """A schema that allows only the keys it names: readers ignore other keys, but the tests must not."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    stricter = {key: closed(below) for key, below in schema.items()}
    # A condition names only the keys it is about.
    for condition in ("if", "then"):
        if condition in schema:
            stricter[condition] = schema[condition]
    return stricter | ({"additionalProperties": False} if "object" in schema.get("type", ()) else {})


STRICT = {name: jsonschema.Draft202012Validator(closed(schema)) for name, schema in SCHEMAS.items()}


def nodes(schema: dict[str, Any], at: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The path and the schema of every key: `loops[].records`."""
    at = resolved(schema, at)
    for key, below in at.get("properties", {}).items():
        inner = f"{path}.{key}" if path else key
        yield inner, below
        yield from nodes(schema, below, inner)
    if "items" in at:
        yield from nodes(schema, at["items"], f"{path}[]")


def resolved(schema: dict[str, Any], at: dict[str, Any]) -> dict[str, Any]:
    """The target of a reference within a schema, or the schema itself if it is not a reference."""
    target: dict[str, Any] = schema["$defs"][at["$ref"].removeprefix("#/$defs/")] if "$ref" in at else at
    return target


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The path of every key in a document."""
    if isinstance(value, dict):
        for key, below in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner
            yield from keys(below, inner)
    elif isinstance(value, list):
        for below in value:
            yield from keys(below, f"{path}[]")


def printed(*arguments: str | Path, stdin: str = "") -> Any:
    """The JSON that the command prints."""
    done = run(*arguments, "--format", "json", stdin=stdin.encode())
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def analyses() -> Iterator[Any]:
    yield from (printed("analyze", cache) for cache in CACHES)
    yield printed("analyze", *TAGS, "--names", FIXTURES / "debug/cache-all.json")
    yield printed("analyze", *TAGS, *(word for tag in "ab" for word in ("--build", CAPTURES / f"tag-{tag}.json")))
    yield printed("analyze", BUNDLE, "--build", FIXTURES / "builds/bundle-v0.32.2.provenance.json")
    edited = FIXTURES / "hits/service-edit-v0.32.2"
    yield printed("analyze", f"{edited}.cache.json", "--build", f"{edited}.provenance.json")
    yield printed("analyze", DIAMONDS, "--buildkit", "v0.21.1")
    yield from goldens("goldens", "check-*.json")


def checks(folder: Path) -> Iterator[Any]:
    baseline = folder / "baseline.json"
    yield printed("check", *TAGS, "--fail-on", "warning", "--write-baseline", baseline)
    yield printed("check", *TAGS, DIAMONDS, "--baseline", baseline, "--max-calls", "100", "--buildkit", "v0.21.1")
    yield printed("check", DIAMONDS, "--select", "CD2")
    yield printed("check", folder / "none.json", "--missing-ok")
    yield printed("check", folder / "none.json", DIAMONDS, "--missing-ok")
    yield printed("check", folder / "none.json", DIAMONDS, *TAGS, "--no-together")


def repairs(folder: Path) -> Iterator[Any]:
    yield from (printed("repair", cache, "--dry-run") for cache in CACHES)
    yield printed("repair", *TAGS, "-o", folder / "joined.json")
    yield printed("repair", DIAMONDS, "-o", folder / "smaller.json", "--prune", "minimal")
    eight = FIXTURES / "manifests/diamond-8.json"
    yield printed("repair", eight, "--dry-run", "--prune", "minimal", "--build", CAPTURES / "diamond-8.json")
    small = ("--max-bytes", "2000", "--drop-oldest", "--dry-run")
    yield printed("repair", FIXTURES / "manifests/service.json", *small)


def twice(folder: Path) -> Any:
    """Two dumps with a wait, a goroutine that runs, and many more of one kind in the second."""
    header = "goroutine {} [{}]:\ngithub.com/moby/buildkit/util/push.{}(0x1)\n\t/src/push.go:1 +0x1\n\n"
    before = header.format(8, "running", "Run") + WAITING
    now = before.replace("12 minutes", "13 minutes") + "".join(
        header.format(n, "select", "Copy") for n in range(50, 250)
    )
    paths = []
    for name, text in (("before.txt", before), ("now.txt", now)):
        (folder / name).write_text(text, encoding="utf-8")
        paths.append(folder / name)
    return printed("profile", *paths)


def diagnoses(folder: Path) -> Iterator[Any]:
    yield twice(folder)
    yield from (printed("profile", profile) for profile in PROFILES)
    yield from (printed("profile", profile, "--cache", DIAMONDS, "--running-for", "1m") for profile in PROFILES)
    eight = ("--cache", FIXTURES / "manifests/diamond-8.json", "--build", CAPTURES / "diamond-8.json")
    yield printed("profile", FIXTURES / "profiles/cpu-stuck.pprof", *eight)
    yield printed("profile", "-", stdin=WAITING)
    yield from goldens("goldens/profile", "*.json")


def goldens(folder: str, names: str) -> Iterator[Any]:
    yield from (json.loads(path.read_text(encoding="utf-8")) for path in sorted((GOLDENS / folder).glob(names)))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Documents for each schema."""
    folder = tmp_path_factory.mktemp("written")
    documents = {
        "analysis": list(chain(analyses(), checks(folder))),
        "repair": list(repairs(folder)),
        "profile": list(diagnoses(folder)),
    }
    return documents | {"baseline": [json.loads((folder / "baseline.json").read_text(encoding="utf-8"))]}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_output_fits_its_schema(name: str, written: dict[str, list[Any]]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    for document in written[name]:
        STRICT[name].validate(document)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_a_schema_is_used(name: str, written: dict[str, list[Any]]) -> None:
    named = {path for path, _ in nodes(SCHEMAS[name], SCHEMAS[name])}
    assert named == set(chain.from_iterable(map(keys, written[name])))


@pytest.mark.parametrize("name", NAMES)
def test_only_keys_of_a_check_are_optional(name: str) -> None:
    schema = SCHEMAS[name]
    condition = schema.get("then", {"required": []})
    of_checks = {*condition["required"], "known"}
    for at in (schema, *(below for _, below in nodes(schema, schema))):
        for target in (resolved(schema, at), resolved(schema, at.get("items", {}))):
            assert set(target.get("properties", ())) - set(target.get("required", ())) <= of_checks


@pytest.mark.slow
def test_notices_a_check_without_its_keys(written: dict[str, list[Any]]) -> None:
    for document in written["analysis"]:
        if document["command"] != "check":
            continue
        for key in SCHEMAS["analysis"]["then"]["required"]:
            short = {name: value for name, value in document.items() if name != key}
            assert not STRICT["analysis"].is_valid(short)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_schemas_allow_new_keys(name: str, written: dict[str, list[Any]]) -> None:
    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: grown(below) for key, below in value.items()} | {"of_tomorrow": 1}
        return [grown(below) for below in value] if isinstance(value, list) else value

    document = grown(written[name][-1])
    assert jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(document)
    assert not STRICT[name].is_valid(document)
