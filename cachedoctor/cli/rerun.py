"""The user's own command line, changed, to be pasted into a shell."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection


def rerun(*more: str, without: Collection[str] = (), flags: Collection[str] = ()) -> str:
    """The command line with more words at its end.

    The options in `without` are left out together with their values, and those in `flags`, which have none.
    """
    kept: list[str] = []
    rest: list[str] = []
    words = iter(sys.argv[1:])
    for word in words:
        if word == "--":
            rest = [word, *words]
        elif word in without:
            next(words, None)
        elif word not in flags and word.partition("=")[0] not in without:
            kept.append(word)
    return shlex.join(["cachedoctor", *kept, *more, *rest])
