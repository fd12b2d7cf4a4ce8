"""Everything that cachedoctor raises on purpose.

CachedoctorError
├── InputError            a source that cannot be read, or a place that cannot be written; one line
│   ├── NoCacheError      there is something, but no cache in it
│   ├── NoStepsError      provenance without build steps (`builds.predicate`)
│   └── RegistryError     what is wrong at a registry (`sources.registry.connections`)
│       ├── Unreachable   no connection
│       └── Unanswered    no answer in time
│           └── Dropped   the connection was lost
├── CountTooLarge         paths whose exact number would not fit into memory
├── FocusError            a --focus that is not a regular expression, or has nothing to act on
├── LimitError            what repair cannot do with what it may remove
└── ProofError            a repaired cache that is not what it should be: a bug of cachedoctor
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CachedoctorError(Exception):
    """The base class of all errors: catch this."""


class InputError(CachedoctorError):
    """Input that cannot be read, or a place that cannot be written, as one line.

    `problem` says what was found and what was expected, `where` the place in the input (a byte offset, a JSON path, a
    member of an archive; empty if the whole), `source` what the user named (a path, `-`, a URL). Code that does not
    know the source leaves it out, and `reading` adds it where it is known. `missing` means that nothing is there yet,
    as for the cache of a new branch.
    """

    def __init__(self, problem: str, where: str = "", *, source: str = "", missing: bool = False) -> None:
        super().__init__(problem, where, source)
        self.problem = problem
        self.where = where
        self.source = source
        self.missing = missing

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.where, self.problem) if part)


def reason(error: OSError) -> str:
    """What went wrong, in the system's words."""
    return error.strerror or str(error)


@contextmanager
def reading(source: str = "", where: str = "") -> Iterator[None]:
    """Add to an `InputError` from inside what was being read: `where` goes in front, `source` only if it has none."""
    try:
        yield
    except InputError as error:
        if not error.source:
            error.where = ": ".join(part for part in (where, error.where) if part)
            error.source = source
        raise


class NoCacheError(InputError):
    """There is something, and it holds no cache: an image, for example."""


class CountTooLarge(CachedoctorError):
    """Paths are so many that their exact counts would outgrow the memory they may take (`graph.paths`)."""


class FocusError(CachedoctorError):
    """What to focus on is not a regular expression, or there is nothing to focus on."""


class LimitError(CachedoctorError):
    """A limit cannot be reached by removing what may be removed.

    `dropping_may_help` is set if giving up whole records, the oldest first, was not allowed and could reach it.
    """

    def __init__(self, problem: str, *, dropping_may_help: bool = False) -> None:
        super().__init__(problem)
        self.dropping_may_help = dropping_may_help


class ProofError(CachedoctorError):
    """The repaired cache is not what it should be: a bug of cachedoctor, and nothing may be written."""
