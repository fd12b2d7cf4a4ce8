"""The fuzz target for records of builds: what must hold for any bytes."""

from __future__ import annotations

import pickle
from io import BytesIO

from cachedoctor.builds.build import Build
from cachedoctor.builds.containers import load
from cachedoctor.errors import InputError


def record(data: bytes) -> None:
    """A record is refused in one line, or gives steps in order whose parts fit each other; twice the same."""
    builds, problem = _read(data)
    assert (builds, problem) == _read(data)
    assert "\n" not in problem
    assert bool(builds) != bool(problem)
    for build in builds:
        _check(build)
    pickle.dumps(builds)


def _read(data: bytes) -> tuple[list[Build], str]:
    try:
        return load("-", stdin=BytesIO(data)), ""
    except InputError as error:
        return [], error.problem


def _check(build: Build) -> None:
    assert len({step.id for step in build.steps}) == len(build.steps)
    for number, step in enumerate(build.steps):
        assert all(0 <= needed.step < number and needed.output >= 0 for needed in step.inputs)
        assert all(bool(needed.selector) == bool(needed.paths) for needed in step.inputs)
        assert all(needed.selector or not needed.by_content for needed in step.inputs)
        assert all(0 < location.line <= location.end_line for location in step.locations)
        assert step.label
        assert len(set(step.digests)) == len(step.digests)
