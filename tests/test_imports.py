"""Modules import one way."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cachedoctor"

MAY_KNOW = {
    "errors": set(),
    "memory": set(),
    "text": set(),
    "files": set(),
    "streams": {"errors"},
    "pprof": {"errors", "files", "streams"},
    "cacheconfig": {"errors"},
    "sources": {"cacheconfig", "errors", "files", "memory", "streams"},
    "chains": {"cacheconfig", "text"},
    "rules": {"cacheconfig", "chains", "sources", "text"},
    "analysis": {"cacheconfig", "chains", "errors", "rules", "sources"},
    "diagnosis": {"chains", "pprof", "text"},
    "baseline": {"analysis", "errors", "files", "rules", "text"},
    "check": {"analysis", "baseline", "chains", "rules", "sources"},
    "settings": {"errors", "files", "text"},
    "repair": {"analysis", "cacheconfig", "chains", "errors", "files", "memory", "rules", "sources", "text"},
    "library": {"analysis", "repair", "report", "rules", "sources"},
    "report": {"analysis", "chains", "diagnosis", "errors", "pprof", "repair", "rules", "sources", "text"},
    "cli": {
        "analysis",
        "baseline",
        "chains",
        "check",
        "diagnosis",
        "errors",
        "files",
        "pprof",
        "repair",
        "report",
        "rules",
        "settings",
        "sources",
        "text",
    },
}


def imported(file: Path) -> set[str]:
    """The parts of the package that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "cachedoctor" else {f"cachedoctor.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("cachedoctor.")} - {"__version__"}


@pytest.mark.parametrize("part", sorted(MAY_KNOW))
def test_imports_run_one_way(part: str) -> None:
    files = [PACKAGE / f"{part}.py"] if (PACKAGE / f"{part}.py").exists() else sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        assert imported(file) <= MAY_KNOW[part] | {part}, file


def test_every_module_is_judged() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("__")} - {"py"}
    assert parts == set(MAY_KNOW)
