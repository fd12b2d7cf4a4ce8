"""What commands print, for the `console` blocks of the pages."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = "…\n"

Part = str | tuple[str, str]
"""A paragraph, by the start of its first line; or the lines from one start to just before another."""


def screen(command: str, *parts: Part, again: bool = False) -> str:
    """A `console` block with a command of cachedoctor, such as `analyze FILE`, and what it prints in this repository.

    With `parts`, only these are shown, in this order, and `…` stands for what is left out. Starts are compared without
    indentation; `""` is the next line. `again` continues an earlier block of the same command, and does not repeat it.

    Raises `ValueError` if a part is not printed after the one before it.
    """
    lines = _printed(command)
    shown = "".join(_chosen(lines, parts) if parts else lines)
    if again:
        shown = shown.removeprefix(LEFT_OUT)
    prompt = "" if again else f"$ cachedoctor {command}\n"
    return f"\n```console\n{prompt}{shown}```\n\n"


@cache
def _printed(command: str) -> list[str]:
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "cachedoctor", *shlex.split(command)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout.splitlines(keepends=True)


def _chosen(lines: list[str], parts: tuple[Part, ...]) -> Iterator[str]:
    end = 0
    for part in parts:
        start, stop = (part, "") if isinstance(part, str) else part
        begin = _find(lines, start, end)
        skipped = lines[end:begin]
        yield from [LEFT_OUT] if "".join(skipped).strip() else skipped
        end = _find(lines, stop, begin + 1) if stop else _paragraph_end(lines, begin)
        yield from lines[begin:end]
    if end < len(lines):
        yield LEFT_OUT


def _find(lines: list[str], start: str, after: int) -> int:
    for index in range(after, len(lines)):
        if lines[index].lstrip().startswith(start):
            return index
    raise ValueError(f"no line starts with {start!r} after line {after} of:\n{''.join(lines)}")


def _paragraph_end(lines: list[str], begin: int) -> int:
    return next((index for index in range(begin, len(lines)) if not lines[index].strip()), len(lines))
