"""Builds that tests write as steps, and the caches that their daemons would export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cachedoctor.builds.build import Build, Input, Location, Step, record_digest
from cachedoctor.cacheconfig import CacheConfig
from tests.support import decoded, digest

CONTEXT = Step("context", "source", (), (), (), "build context")


def source(name: str, line: int = 1) -> Step:
    """The step of a `FROM`."""
    facts = {"base image": name}
    return Step(name, "source", (digest(name),), (), _lines(line, f"FROM {name}"), f"FROM {name}", facts=facts)


def own(step: int, selector: str = "") -> Input:
    """An input that has no content key, such as what a `RUN` runs on."""
    return Input(step, 0, selector and digest(selector), (selector,) if selector else (), by_content=False)


def content(step: int, path: str) -> Input:
    """An input whose content can stand for it, such as what a `COPY` copies."""
    return Input(step, 0, digest(path), (path,), by_content=True)


def step(text: str, line: int, *inputs: Input, op: str = "", kind: str = "") -> Step:
    """An instruction; `op` is what its digest is of, if that is not its text."""
    kind = kind or ("exec" if text.startswith("RUN") else "file")
    return Step(f"line{line}", kind, (digest(op or text),), inputs, _lines(line, text), text, facts={"command": text})


def _lines(line: int, text: str) -> tuple[Location, ...]:
    return (Location("Dockerfile", line, line, text),)


def build(*steps: Step) -> Build:
    """A build of these steps."""
    return Build("build.json", "predicate", "", "linux/amd64", "Dockerfile", steps)


def key(step: Step) -> str:
    """The digest of the record of a step."""
    return record_digest(step.digests[0], 0)


def seen(value: str) -> str:
    """The digest of the record of some content."""
    return record_digest(digest(value), -1)


Alternative = tuple[int, str]


def cache(*records: tuple[str, Sequence[Sequence[Alternative]]], results: Sequence[int] | None = None) -> CacheConfig:
    """Records by digest and inputs, whose alternatives are (record, path).

    All records with inputs have a result, or only those in `results`.
    """
    written: list[dict[str, Any]] = []
    for number, (name, inputs) in enumerate(records):
        record: dict[str, Any] = {"digest": name}
        if inputs:
            record["inputs"] = [
                [{"link": link} | ({"selector": digest(path)} if path else {}) for link, path in alternatives]
                for alternatives in inputs
            ]
        if number in results if results is not None else inputs:
            record["layers"] = [{"layer": number, "createdAt": "2026-11-24T08:14:45.5Z"}]
        written.append(record)
    layers = [{"blob": digest(f"layer {number}"), "parent": -1} for number in range(len(written))]
    return decoded({"layers": layers, "records": written})
