"""The settings file of `cachedoctor check`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachedoctor.errors import InputError, reading, reason
from cachedoctor.io.files import read_bounded
from cachedoctor.suggest import meant

MOST_BYTES = 1 << 20
MOST_DOTS = 200
"""Dots in one key, which take tomllib quadratic time. Text that looks like a key counts as well."""
MOST_DIGITS = 4000
"""Digits of a whole number, below what Python turns into text (`sys.set_int_max_str_digits`)."""
OWN = ".cachedoctor.toml"
SHARED = "pyproject.toml"


def _words(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(word, str) for word in value))


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


KEYS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "baseline": ("a file name", _is(str)),
    "before": ("a file name, or a list of them", _words),
    "build": ("the name of a file or an image, or a list of them", _words),
    "buildkit": ("a version such as 'v0.21.1'", _is(str)),
    "dockerfile": ("a path", _is(str)),
    "fail-on": ("'error', 'warning' or 'note'", _is(str)),
    "format": ("the name of a format", _is(str)),
    "ignore": ("rules: a list of strings, or a string with commas", _words),
    "max-bytes": ("a number, or a size such as '1MiB'", _is(int, str)),
    "max-calls": ("a whole number", _is(int)),
    "max-seconds": ("a number", _is(int, float)),
    "min-hits": ("a number, or a percentage such as '80%'", _is(int, float, str)),
    "missing-ok": ("true or false", _is(bool)),
    "names": ("a file name", _is(str)),
    "platform": ("a platform such as 'linux/arm64'", _is(str)),
    "select": ("rules: a list of strings, or a string with commas", _words),
    "step-summary": ("true or false", _is(bool)),
    "tag": ("a tag", _is(str)),
    "timeout": ("a number of seconds", _is(int, float)),
    "together": ("true or false", _is(bool)),
}
"""For each key the expected value in words, and a test whether a value fits."""
_DOTTED = re.compile(
    rb"(?:(?<![\w-])[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')(?:[ \t]*\.[ \t]*(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')){%d}"
    % MOST_DOTS
)
_FLAGS_ALONE = frozenset({"ca-file", "plain-http"})
"""Options that cannot be settings: a branch could use its own file to redirect credentials."""
_FILES = frozenset({"baseline", "before", "build", "names"})
"""Keys whose values are relative to the folder of the settings, but for images."""
_REPEATED = {"before": "before", "build": "build", "names": "build"}
"""Keys whose values are lists, and the parameters that take them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file sets, by the names of the options without their leading dashes."""

    path: str
    """The path of the file, empty if there is none."""
    values: Mapping[str, bool | int | float | str | list[str]]


def find(folder: Path) -> Settings:
    """The settings that apply in a folder.

    The nearest folder, from here up to the root of the repository (the folder with `.git`; without one, only this
    folder), that has a `.cachedoctor.toml`, or a `pyproject.toml` with a table `[tool.cachedoctor]`, decides.
    If it has both, only `.cachedoctor.toml` counts. Raises `InputError` as `read` does.
    """
    try:
        return _find(folder)
    except OSError as error:
        raise InputError(f"cannot look for settings: {reason(error)}", source=str(folder)) from error


def _find(folder: Path) -> Settings:
    for parent in _up_to_the_root(folder):
        if (parent / OWN).is_file():
            return read(parent / OWN)
        if (parent / SHARED).is_file() and (table := _table(parent / SHARED)) is not None:
            return _checked(parent / SHARED, table)
    return Settings("", {})


def _up_to_the_root(folder: Path) -> Iterator[Path]:
    folder = folder.absolute()
    folders = [folder, *folder.parents]
    roots = [index for index, parent in enumerate(folders) if (parent / ".git").exists()]
    yield from folders[: roots[0] + 1 if roots else 1]


def read(path: Path) -> Settings:
    """The settings in one file: the table `[tool.cachedoctor]` of a `pyproject.toml`, or all of any other file.

    Raises `InputError` if it cannot be read, and for an unknown key or a value of the wrong type.
    """
    table = _table(path)
    if table is None:
        raise InputError("has no table [tool.cachedoctor]", source=str(path))
    return _checked(path, table)


def _table(path: Path) -> Any:
    try:
        with reading(str(path)):
            data = read_bounded(path, MOST_BYTES, what="the settings")
        if _DOTTED.search(data):
            raise InputError(f"a key of more than {MOST_DOTS} parts, which is refused", source=str(path))
        parsed = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected TOML in UTF-8: {error}", source=str(path)) from error
    if path.name != SHARED:
        return parsed
    tool = parsed.get("tool")
    return tool.get("cachedoctor") if isinstance(tool, dict) else None


def _checked(path: Path, table: Any) -> Settings:
    if not isinstance(table, dict):
        raise InputError("expected a table", "tool.cachedoctor", source=str(path))
    values: dict[str, bool | int | float | str] = {}
    repeated: dict[str, list[str]] = {}
    for key, value in table.items():
        if key in _FLAGS_ALONE:
            raise InputError(
                f"cannot be a setting, because a branch could redirect credentials; use --{key}", key, source=str(path)
            )
        if key not in KEYS:
            raise InputError(f"unknown setting; {meant(key, KEYS)}", key, source=str(path))
        expected, fits = KEYS[key]
        if not fits(value):
            raise InputError(f"expected {expected}", key, source=str(path))
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise InputError(f"expected {expected}, of at most {MOST_DIGITS:,} digits", key, source=str(path))
        if "\0" in (value if isinstance(value, str) else "".join(value) if isinstance(value, list) else ""):
            raise InputError(f"expected {expected}, without a NUL", key, source=str(path))
        if key in _REPEATED:
            listed = [value] if isinstance(value, str) else value
            repeated[_REPEATED[key]] = [*repeated.get(_REPEATED[key], ()), *(_file(path, word) for word in listed)]
        elif isinstance(value, list):
            values[key] = ",".join(value)
        else:
            values[key] = _file(path, value) if key in _FILES else value
    return Settings(str(path), {**values, **repeated})


def _file(settings: Path, name: str) -> str:
    """A file that settings name; images are named as they are."""
    return name if "://" in name else str(settings.parent / name)
