"""Function names as pprof prints and compares them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# The start of an argument list; the parentheses of an operator or a namespace are part of a name.
_ARGUMENTS = re.compile(r"\(anonymous namespace\)|operator\(\)|(\()")


_FOLDERS = re.compile(r"^[^\[(]*/")


def without_folders(name: str) -> str:
    """A function without the folders of its Go package: `v1.(*CacheChains).Marshal`."""
    return _FOLDERS.sub("", name)


def simplified(name: str, system_name: str) -> str:
    """A function name as pprof prints it: what looks like C++ loses its parameters and template arguments.

    So do generic Go functions. Mangled names are left as they are, since Go has none. Source: google/pprof,
    internal/symbolizer, `demangleSingleFunction`.
    """
    if name and name != system_name:
        return name
    looks = "::" in system_name or any(letter in system_name for letter in "<>[]")
    if not looks or ".<" in system_name or "])." in system_name:
        return system_name
    return _without(_without(system_name, "(", ")"), "<", ">")


def _without(name: str, start: str, end: str) -> str:
    """A name without what is between these letters; if they do not match, without the pairs before that."""
    kept: list[str] = []
    nesting = first = 0
    for at, letter in enumerate(name):
        if letter == start:
            nesting += 1
            first = at if nesting == 1 else first
        elif letter == end:
            nesting -= 1
            if nesting < 0:
                return "".join(kept) + name[at:]
        elif not nesting:
            kept.append(letter)
    return "".join(kept) + (name[first:] if nesting else "")


def of_binary(path: str) -> str:
    """The name shown for functions without one: the binary they are in."""
    return f"[{PurePosixPath(path).name}]" if path else "<unknown>"


def without_arguments(name: str) -> str:
    """A function name without its argument list, as `drop_frames` is matched against it (pprof, profile/prune.go)."""
    name = name.removeprefix(".")
    for match in _ARGUMENTS.finditer(name):
        if match.group(1):
            return name[: match.start()]
    return name
