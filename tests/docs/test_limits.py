"""The page of limits has every limit, as it is."""

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
UNTOLD = {
    # How the decoder divides its work; the file format.
    "pprof.samples.MOST_FIELDS",
    "pprof.samples.LONGEST_VARINT",
    "pprof.samples.LARGEST_CHUNK",
}


def rows() -> dict[str, tuple[str, str]]:
    """For each number of the source that the page names, its limit there and what is said past it."""
    found: dict[str, tuple[str, str]] = {}
    for line in (ROOT / "docs/limits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 5 and (named := re.fullmatch(r"`([\w.]+)`", cells[4])):
            assert named[1] not in found
            found[named[1]] = cells[1], cells[2]
    return found


def value(name: str) -> float:
    module, _, constant = name.rpartition(".")
    number = getattr(importlib.import_module(f"cachedoctor.{module}"), constant)
    assert isinstance(number, int | float)
    return number


def limits() -> set[str]:
    """All numbers at the top of a module that are named like a limit."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module.split(".")[0] in READERS:
            for node in ast.parse(path.read_text()).body:
                names = node.targets if isinstance(node, ast.Assign) else []
                found |= {
                    f"{module}.{one.id}" for one in names if isinstance(one, ast.Name) and LIMIT.fullmatch(one.id)
                }
    return found


ROWS = rows()


def test_every_limit_is_on_the_page() -> None:
    assert len(ROWS) > 50
    assert sorted(limits() - set(ROWS) - UNTOLD) == []
    assert sorted(UNTOLD - limits()) == []


@pytest.mark.parametrize("name", ROWS)
def test_the_page_says_what_the_limit_is(name: str) -> None:
    number, (told, past) = value(name), ROWS[name]
    units = {"KiB": 10, "MiB": 20, "GiB": 30}
    parts = told.split()
    assert len(parts) <= 2
    assert int(parts[0].replace(",", "")) << (units[parts[1]] if len(parts) > 1 else 0) == number
    # A number in a message is that limit, unless it stands for what was found.
    quoted = [
        int(one.replace(",", "")) for message in re.findall("`([^`]*)`", past) for one in _NUMBER.findall(message)
    ]
    assert set(quoted) <= {number, 503, 256}


_NUMBER = re.compile(r"(?<![\w-])\d[\d,]*\d|(?<![\w-])\d(?!\w)")


def test_the_messages_are_those_of_the_source() -> None:
    """Each begins with words that some module has."""
    source = " ".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    for name, (_, past) in ROWS.items():
        for message in re.findall("`([^`]*)`", past):
            words = max(re.split(r"…|\d[\d,]*", message), key=len).strip()
            assert words in source, (name, words)
