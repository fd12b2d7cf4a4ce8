"""BuildKit versions, as far as the rules tell them apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+].*)?")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A BuildKit release."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `v0.21.1`, `0.21` and the like. Raises `ValueError` for anything else."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no BuildKit version such as v0.21.1")
        return cls(*(int(part or 0) for part in match.groups()))


LOOP_CHECK = Version(0, 9, 0)
"""The first with the loop check."""
REWRITE = Version(0, 25, 0)
"""The first that merges while adding and walks no paths."""


def walks_paths(version: Version | None) -> bool:
    """Whether this version (any, where `None`) walks every path in its loop check."""
    return version is None or LOOP_CHECK <= version < REWRITE


def merges_while_adding(version: Version | None) -> bool:
    """Whether this version (any, where `None`) is one of the rewritten exporters."""
    return version is None or version >= REWRITE
