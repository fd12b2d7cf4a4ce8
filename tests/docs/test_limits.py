"""The page on limits lists every limit with its real value."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "cachedoctor"
READERS = (
    "baseline",
    "cacheconfig",
    "cli",
    "memory",
    "pprof",
    "report",
    "rules",
    "settings",
    "sources",
    "streams",
    "text",
)
LIMIT = re.compile(r"_?(MOST|LONGEST|DEEPEST|LARGEST|HIGHEST|FREE)(_[A-Z_]+)?")
INTERNAL = {
    # How the decoder divides its work; the file format.
    "pprof.samples.MOST_FIELDS",
    "pprof.samples.LONGEST_VARINT",
    "pprof.samples.LARGEST_CHUNK",
}


def rows() -> dict[str, tuple[str, str]]:
    """For each constant that the page names, the limit it gives and the message it quotes."""
    limits: dict[str, tuple[str, str]] = {}
    for line in (ROOT / "docs/limits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 5 and (named := re.fullmatch(r"`([\w.]+)`", cells[4])):
            assert named[1] not in limits
            limits[named[1]] = cells[1], cells[2]
    return limits


def value(name: str) -> float:
    module, _, constant = name.rpartition(".")
    number = getattr(importlib.import_module(f"cachedoctor.{module}"), constant)
    assert isinstance(number, int | float)
    return number


def limits() -> set[str]:
    """All module-level constants that are named like a limit."""
    constants = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module.split(".")[0] in READERS:
            for node in ast.parse(path.read_text()).body:
                names = node.targets if isinstance(node, ast.Assign) else []
                constants |= {
                    f"{module}.{name.id}" for name in names if isinstance(name, ast.Name) and LIMIT.fullmatch(name.id)
                }
    return constants


ROWS = rows()


def test_every_limit_is_on_the_page() -> None:
    assert len(ROWS) > 50
    assert sorted(limits() - set(ROWS) - INTERNAL) == []
    assert sorted(INTERNAL - limits()) == []


@pytest.mark.parametrize("name", ROWS)
def test_page_gives_the_limit(name: str) -> None:
    number, (limit, quoted) = value(name), ROWS[name]
    units = {"KiB": 10, "MiB": 20, "GiB": 30}
    parts = limit.split()
    assert len(parts) <= 2
    assert int(parts[0].replace(",", "")) << (units[parts[1]] if len(parts) > 1 else 0) == number
    # A number in a message is the limit, or an example of what was found.
    messages = re.findall("`([^`]*)`", quoted)
    numbers = {int(digits.replace(",", "")) for message in messages for digits in _NUMBER.findall(message)}
    assert numbers <= {number, 503, 256}


_NUMBER = re.compile(r"(?<![\w-])\d[\d,]*\d|(?<![\w-])\d(?!\w)")


def test_messages_are_in_the_source() -> None:
    """Some module contains the longest run of words of each message."""
    source = " ".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    for name, (_, quoted) in ROWS.items():
        for message in re.findall("`([^`]*)`", quoted):
            words = max(re.split(r"…|\d[\d,]*", message), key=len).strip()
            assert words in source, (name, words)
