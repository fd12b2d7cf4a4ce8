"""Pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table between blank lines. A head that ends in `:` aligns its column to the right."""
    lines = [
        _row(head.removesuffix(":") for head in heads),
        _row("---:" if head.endswith(":") else "---" for head in heads),
        *(_row(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return "\n" + "\n".join(lines) + "\n\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def words(values: Sequence[object], last: str = "or") -> str:
    """Values as code, in a sentence: `a`, `b` or `c`."""
    quoted = [f"`{value}`" for value in values]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
