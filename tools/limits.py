"""The tables of `docs/limits.md`: words from `limits.toml`, numbers from the constants of the package."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

from tools.markdown import table

PACKAGE = Path(__file__).parent.parent / "cachedoctor"
NAME = re.compile(r"_?((MOST|LONGEST|DEEPEST|LARGEST|HIGHEST|FREE)(_[A-Z_]+)?|DEADLINE|ATTEMPTS)")
"""What a constant that sets a limit is called."""
CONSTANT = re.compile(r"\w+(\.\w+)+")
"""A key of `limits.toml` that is a constant, and not a limit in words."""
NOT_LISTED: frozenset[str] = frozenset()
"""Constants that are named like a limit, but that no user can run into."""
SEARCHES = frozenset({"repairs"})
"""Packages whose constants limit how long they search for a better answer, not what they accept."""

LIMITS: dict[str, dict[str, list[str]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def limits(section: str) -> str:
    """The table of one section. Raises `ValueError` if a constant that sets a limit is in no table."""
    listed = {name for rows in LIMITS.values() for name in rows}
    if missing := sorted(constants() - NOT_LISTED - listed):
        raise ValueError(f"limits.toml does not list {', '.join(missing)}")
    rows = [_row(name, *words) for name, words in LIMITS[section].items()]
    return table(("what", "limit:", "past it", "why this number", "in the source"), rows)


def _row(name: str, what: str, past_it: str, why: str) -> tuple[str, ...]:
    if not CONSTANT.fullmatch(name):
        return what, name, past_it, why, ""
    number = value(name)
    shown = _size(number) if re.search(r"\bbytes\b|^memory", what) else f"{number:,}"
    return what, shown, past_it.format(limit=f"{number:,}"), why, f"`{name}`"


def value(name: str) -> int:
    """The number of a constant, such as `sources.json.MOST_VALUES`. Raises `ValueError` if it does not exist."""
    module, _, constant = name.rpartition(".")
    try:
        return int(getattr(importlib.import_module(f"cachedoctor.{module}"), constant))
    except (ImportError, AttributeError) as error:
        raise ValueError(f"limits.toml lists {name}, which does not exist") from error


def _size(number: int) -> str:
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 1 << power and not number % (1 << power):
            return f"{number >> power:,} {unit}"
    return f"{number:,}"


def constants() -> set[str]:
    """All constants at the top of a module that are named like a limit."""
    listed = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module.split(".")[0] in SEARCHES:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            listed |= {f"{module}.{name}" for name in names if NAME.fullmatch(name)}
    return listed
