"""Which packages there are and what they may import, from the import contracts in `pyproject.toml`."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.markdown import table

ROOT = Path(__file__).parent.parent
LAYERS = "layers"
"""The id of the contract that puts packages above each other."""


def packages() -> str:
    """A table of the layers, the highest first, with what each package does.

    Raises `ValueError` if a package or module does not say what it does in the first line of its docstring.
    """
    (layers,) = [contract["layers"] for contract in _contracts() if contract["id"] == LAYERS]
    rows = []
    for number, layer in enumerate(layers):
        for name in _names(layer):
            rows.append((str(len(layers) - number), f"`{name}`", _purpose(name)))
    return table(("layer:", "package", "what it does"), rows)


def contracts() -> str:
    """A list of the other contracts."""
    names = [contract["name"] for contract in _contracts() if contract["id"] != LAYERS]
    return "\n" + "".join(f"- {name}.\n" for name in names) + "\n"


def _contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def _names(layer: str) -> Iterator[str]:
    yield from re.findall(r"\w+", layer)


def _purpose(name: str) -> str:
    folder = ROOT / "cachedoctor" / name
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not documentation:
        raise ValueError(f"{path} has no docstring")
    return documentation.split("\n\n")[0].replace("\n", " ")
