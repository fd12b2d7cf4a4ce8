"""What many tests share: fixtures, small documents, and running the command."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from contextvars import copy_context
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, TextIO
from unittest.mock import patch

from cachedoctor.builds.build import Build, Location, Step
from cachedoctor.builds.hits import Hits
from cachedoctor.builds.known import Known, line
from cachedoctor.builds.names import Name, Place
from cachedoctor.cacheconfig import CacheConfig, decode
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import CacheDocument

FIXTURES = Path(__file__).parent.parent / "fixtures"

Link = tuple[int, str]


def digest(name: str) -> str:
    """The digest of a name."""
    return f"sha256:{sha256(name.encode(errors='backslashreplace')).hexdigest()}"


def record(name: str, *inputs: Sequence[Link | int], layer: int | None = None) -> dict[str, Any]:
    """A record as the document has it; an alternative is a link, or a link with its selector."""
    result: dict[str, Any] = {"digest": digest(name)}
    if layer is not None:
        result["layers"] = [{"layer": layer, "createdAt": "2026-11-24T08:14:45.5Z"}]
    if inputs:
        result["inputs"] = [[_link(link) for link in alternatives] for alternatives in inputs]
    return result


def _link(link: Link | int) -> dict[str, Any]:
    return {"link": link} if isinstance(link, int) else {"selector": link[1], "link": link[0]}


def layers(*parents: int) -> list[dict[str, Any]]:
    """Layers with these parents."""
    return [{"blob": digest(f"layer {index}"), "parent": parent} for index, parent in enumerate(parents)]


def decoded(document: dict[str, Any]) -> CacheConfig:
    """A document as `cacheconfig.decode` reads it."""
    return decode(json.dumps(document).encode())


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
    return CacheDocument(
        source=source,
        kind=kind,
        config=decoded({"layers": layers or [], "records": records}),
        digest=digest(source),
        size=size,
        manifest_size=manifest_size,
        blobs=blobs,
        platform="",
    )


def location(line: int, text: str = "RUN make", file: str = "Dockerfile", end_line: int = 0) -> Location:
    """A line of a Dockerfile."""
    return Location(file, line, end_line or line, text)


def name(*locations: Location, sure: bool = True, label: str = "") -> Name:
    """The name of a record, which can be any of these lines."""
    return Name(label or line(locations[0]), locations, (Place(0, 0, 0),), sure)


def step(*locations: Location, label: str = "") -> Step:
    """A step that is made by these lines."""
    return Step("step1", "exec", (), (), locations, label or (locations[0].text if locations else "step"))


def build(*steps: Step, source: str = "app.dockerbuild", dockerfile: str = "Dockerfile", platform: str = "") -> Build:
    """A build as `builds.containers.load` gives it."""
    return Build(source, "dockerbuild", "", platform, dockerfile, steps)


@contextmanager
def recognizing(
    name_of: Callable[[int, int, str], Name | None], *builds: Build, hits: Sequence[Hits] = ()
) -> Iterator[None]:
    """As if these builds were given, and named each record by its document, index and digest."""

    def recognize(
        given: Sequence[Build],
        documents: Sequence[CacheDocument],
        survey: Survey,
        before: Sequence[Build] = (),
        release: object = None,
    ) -> Known:
        names = [
            [name_of(document, record, digest) for record, digest in enumerate(config.digests)]
            for document, config in enumerate(survey.configs)
        ]
        return Known.of(builds or (build(),), names, survey, hits)

    with (
        patch("cachedoctor.analysis.analyze.recognize", recognize),
        patch("cachedoctor.builds.recognize.recognize", recognize),
    ):
        yield


MEASURING = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
"""What a child process needs in its environment for its coverage to be measured; empty unless it is."""
LONGEST_SECONDS = 120
"""How long one command may take in a test."""
_OF_THE_MACHINE = frozenset({"COLUMNS", "NO_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"})


class Hung(BaseException):
    """The command took longer than `LONGEST_SECONDS`; not an `Exception`, which the command would report as its own."""


def run(
    *arguments: str | Path,
    stdin: bytes | None = None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    process: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command as if typed in a shell; returns its exit code and what it printed.

    It runs within the process of the tests, which is much faster. `process` gives it a process of its own, for tests of
    what only a process has: its streams, its encoding, signals, limits, the hash seed, and imports at start-up.
    `tests/cli/test_process.py` holds that both ways give the same.
    """
    words = list(map(str, arguments))
    environment = {**{key: value for key, value in os.environ.items() if key not in _OF_THE_MACHINE}, **(env or {})}
    if process:
        return subprocess.run(
            [sys.executable, "-m", "cachedoctor", *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
            cwd=cwd,
            env=environment,
        )
    assert not any(name.startswith("PYTHON") for name in env or ()), "only an interpreter that starts reads these"
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin or b"", b"", b"")]
    with _time_limit(), _shell(["cachedoctor", *words], streams, environment, cwd):
        code = _exit_code(streams[2])
    _, stdout, stderr = (_content(stream) for stream in streams)
    return subprocess.CompletedProcess(words, code, stdout, stderr)


@contextmanager
def _shell(words: list[str], streams: Sequence[TextIO], env: dict[str, str], cwd: Path | None) -> Iterator[None]:
    """What the command finds and changes of its process; all is as before when the context ends."""
    collecting = gc.isenabled()
    with ExitStack() as stack:
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            stack.enter_context(patch.object(sys, name, stream))
            stack.enter_context(patch.object(sys, f"__{name}__", stream))
        stack.enter_context(patch.object(sys, "argv", words))
        stack.enter_context(patch.dict(os.environ, env, clear=True))
        # The default action for SIGPIPE would end the tests: servers in their threads write to connections that closed.
        stack.enter_context(patch.object(signal, "signal"))
        # Without handlers, warnings of libraries go to standard error as they do in a process of its own.
        stack.enter_context(patch.object(logging.root, "handlers", []))
        if cwd is not None:
            stack.enter_context(chdir(cwd))
        try:
            yield
        finally:
            if collecting:
                gc.enable()


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise `Hung` once it is over; only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _exit_code(stderr: TextIO) -> int:
    """Run the command, in a context of its own; its exit code is what the interpreter makes of `SystemExit`."""
    from cachedoctor.cli.main import main

    try:
        copy_context().run(main)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=stderr)
        return 1
    return 0


def _content(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.detach()
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
