"""The one exception that reaches a user: input that cannot be read."""

from __future__ import annotations


class InputError(Exception):
    """Input that cannot be read, told in one line.

    `source` is what was read (a path, `-`, a URL), `where` the place in it (a byte offset, a JSON path, a member of an
    archive; empty if the whole), `problem` what was found and what was expected. `missing` says that nothing is wrong
    with what was read: it is not there, and may come, as the cache of a new branch does.
    """

    def __init__(self, source: str, where: str, problem: str, *, missing: bool = False) -> None:
        super().__init__(source, where, problem)
        self.source = source
        self.where = where
        self.problem = problem
        self.missing = missing

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.where, self.problem) if part)
