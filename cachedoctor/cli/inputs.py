"""Reading what the command line names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import click

from cachedoctor.cli.output import Place, warn
from cachedoctor.errors import InputError, reading
from cachedoctor.io.memory import share_of, sharing
from cachedoctor.sources import Access, CacheDocument, load, parse

if TYPE_CHECKING:
    from cachedoctor.builds.build import Build

MOST_SOURCES = 10_000
"""Sources of one check that a file or tags may name."""
MOST_LIST_BYTES = 4 << 20
"""Bytes of a file that lists sources."""


class Read(NamedTuple):
    """What came of reading one source."""

    position: int
    """Its index among the sources."""
    documents: Sequence[CacheDocument]
    error: InputError | None = None
    """Why there are no documents."""
    warnings: Sequence[str] = ()


def stdin() -> BinaryIO:
    """Standard input; if it is closed, it has nothing in it."""
    return sys.stdin.buffer if sys.stdin else BytesIO()


def documents(
    sources: Sequence[str], tag: str | None, platform: str | None, access: Access, report_step: Callable[[str], None]
) -> list[CacheDocument]:
    """The caches of the sources, in their order. Raises `InputError` for the first that cannot be read."""
    with shared(access) as access:
        done = {read.position: read for read in read_each(sources, lambda source: tag, platform, access, report_step)}
    documents: list[CacheDocument] = []
    for _, read in sorted(done.items()):
        if read.error:
            raise read.error
        for warning in read.warnings:
            warn(warning)
        documents += read.documents
    return documents


@contextmanager
def shared(access: Access) -> Iterator[Access]:
    """Access to registries with connections and credentials that all sources share while the context lasts."""
    from cachedoctor.sources.registry.session import Session

    session = Session()
    try:
        yield replace(access, session=session)
    finally:
        session.close()


def read_each(
    sources: Sequence[str],
    tag_of: Callable[[str], str | None],
    platform: str | None,
    access: Access,
    report_step: Callable[[str], None],
) -> Iterator[Read]:
    """Read sources, several at the same time, and yield each as soon as it has been read.

    Those that are read at the same time share the memory that is left. One that takes more than its share is read again
    after all others, alone, so that what can be read does not depend on what else is read. Standard input cannot be
    read again, and is read alone before them. `tag_of` gives the tag to read from a source, and may raise `InputError`.
    """

    def work(source: str) -> Sequence[CacheDocument]:
        return load(source, tag=tag_of(source) or None, platform=platform or None, stdin=stdin(), access=access)

    def alone(position: int) -> Read:
        outcome: Sequence[CacheDocument] | BaseException
        try:
            outcome = work(sources[position])
        except (InputError, MemoryError) as error:
            outcome = error
        return _read(position, sources[position], outcome, tag_of, platform)

    def each() -> Iterator[Read]:
        from cachedoctor.cli.parallel import in_parallel

        yield from map(alone, [position for position, source in enumerate(sources) if source == "-"])
        late = []
        others = [position for position, source in enumerate(sources) if source != "-"]
        for position, outcome in in_parallel(_limited(work, sources), others):
            if isinstance(outcome, MemoryError):
                late.append(others[position])
            else:
                yield _read(others[position], sources[others[position]], outcome, tag_of, platform)
            # Those that are read alone would have to fit beside the last one.
            del outcome
        yield from map(alone, sorted(late))

    if len(sources) == 1:
        report_step(f"reading {sources[0]}")
        yield alone(0)
        return
    report_step(f"reading 1 of {len(sources)}")
    reads = each()
    # No variable keeps one while the next is read.
    for number in range(2, len(sources) + 2):
        yield next(reads)
        report_step(f"reading {min(number, len(sources))} of {len(sources)}")


def _limited(
    work: Callable[[str], Sequence[CacheDocument]], sources: Sequence[str]
) -> Callable[[int], Sequence[CacheDocument]]:
    """What reads the source at a position, and raises `MemoryError` if it takes more than its share."""
    from cachedoctor.cli.parallel import MOST_READERS

    share = share_of(MOST_READERS)

    def limited(position: int) -> Sequence[CacheDocument]:
        with sharing(share):
            return work(sources[position])

    return limited


def _read(
    position: int,
    source: str,
    outcome: Sequence[CacheDocument] | BaseException,
    tag_of: Callable[[str], str | None],
    platform: str | None,
) -> Read:
    if isinstance(outcome, MemoryError):
        outcome = InputError("not enough memory for it", source=source)
    if isinstance(outcome, InputError):
        return Read(position, (), outcome)
    if isinstance(outcome, BaseException):
        raise outcome
    warnings = []
    if platform and not any(document.platform for document in outcome):
        warnings.append(f"{source}: --platform has no effect here: its cache is not for a particular platform")
    if tag_of(source) and all(document.kind == "cache-config" for document in outcome):
        warnings.append(f"{source}: --tag has no effect here: a cache config has no tags")
    return Read(position, outcome, warnings=warnings)


def listed(path: str) -> list[str]:
    """The sources that a file names, or standard input: one a line. Empty lines and those with `#` are left out.

    Raises `InputError`.
    """
    from cachedoctor.io.files import read_bounded
    from cachedoctor.io.streams import read_all

    with reading(path):
        data = read_all(stdin(), MOST_LIST_BYTES) if path == "-" else read_bounded(path, MOST_LIST_BYTES)
        try:
            lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError as error:
            raise InputError("expected UTF-8", f"byte {error.start}") from error
        sources = [line for line in lines if line and not line.startswith("#")]
        if "-" in sources:
            raise InputError("names standard input; name - on the command line instead")
        if any("\0" in source for source in sources):
            raise InputError("expected the names of sources, found a NUL")
    return sources


def bounded(sources: Sequence[str]) -> list[str]:
    """The sources, each once. Raises `InputError` if there are too many."""
    unique = list(dict.fromkeys(sources))
    if len(unique) > MOST_SOURCES:
        raise InputError(f"{len(unique):,} sources, expected at most {MOST_SOURCES:,}")
    return unique


class Tags(NamedTuple):
    """What came of listing tags."""

    sources: list[str]
    """A reference for each tag, each once, and the sources that cannot have several caches."""
    errors: list[InputError]
    """Why there are no tags of some."""


def every_tag(sources: Sequence[str], access: Access, report_step: Callable[[str], None]) -> Tags:
    """A reference for each tag of the sources. Raises `InputError` if there are too many."""
    from cachedoctor.cli.parallel import in_parallel

    report_step("listing tags")
    done = dict(in_parallel(lambda source: parse(source).every_tag(access), sources))
    names: list[str] = []
    errors = []
    for _, outcome in sorted(done.items(), key=lambda item: item[0]):
        if isinstance(outcome, InputError):
            errors.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            names += outcome
    return Tags(bounded(names), errors)


def records(*paths: Sequence[str]) -> list[Place]:
    """The records of builds that options name, which nothing may overwrite."""
    return [Place(path, "record of a build") for of_option in paths for path in of_option]


def builds(
    paths: Sequence[str],
    dockerfile: str | None,
    access: Access,
    report_step: Callable[[str], None],
    others: Sequence[str] = (),
) -> list[Build]:
    """The builds that these files and images hold, in their order.

    `dockerfile` is the path of the Dockerfile if a record only has its name; `others` are read as well. Raises
    `InputError` for the first that cannot be read.
    """
    if not paths:
        return []
    if "-" in paths and (*paths, *others).count("-") > 1:
        raise click.UsageError("standard input can be read only once")
    from cachedoctor.builds.containers import load as load_builds
    from cachedoctor.builds.known import placed

    loaded: list[Build] = []
    with shared(access) as access:
        for path in paths:
            report_step(f"reading {path}")
            loaded += load_builds(path, stdin=stdin(), access=access)
    return [placed(build, dockerfile) if dockerfile else build for build in loaded]
