"""Lines that only a process prints that dies, or that say what killed it."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_MARKS = 20
"""Marks of one text: a log can hold many crashes, and the first ones are enough."""
_LONGEST = 200
_MARK = re.compile(
    r"(runtime: goroutine stack exceeds .*|fatal error: .*|panic: (?!test timed out).*"
    r"|\[signal SIG(SEGV|BUS|FPE|ILL)\b.*|SIG(SEGV|BUS): .*|unexpected fault address .*)$"
)
# A program in a RUN step can be killed as well: only a line that names the daemon tells of its end.
_DAEMON = r"\b(buildkitd|dockerd|buildkit-buildkitd|docker\.service|buildx_buildkit\w*)\b"
_NAMED = re.compile(_DAEMON)
_KILLED = re.compile(
    rf"(?i)(killed process \d+ \({_DAEMON}\)|oom[-_](kill|reaper).*{_DAEMON}|{_DAEMON}.*(\bOOMKilled\b|signal: killed"
    r"|status=9/KILL))"
)
_GO = re.compile(r"goroutine stack exceeds|fatal error: (stack overflow|concurrent map|all goroutines|runtime: out of)")
_POD = re.compile(r"\bOOMKilled\b")
_PROGRESS = re.compile(r"#\d+ ")


def crash_marks(lines: Sequence[str]) -> list[str]:
    """The marks in a text, in its order, without indentation.

    Source: runtime of Go 1.24 (`throw`, `fatalthrow`, `printpanics`, `newstack`), Linux's `oom_kill`.
    """
    named = any(map(_NAMED.search, lines))
    marks = []
    for line in lines:
        mark = _MARK.match(line.lstrip(" >\t")) or _KILLED.search(line) or (named and _POD.search(line))
        if mark and not _PROGRESS.match(line):
            marks.append(line.strip(" >\t")[:_LONGEST])
            if len(marks) == MOST_MARKS:
                break
    return marks


def names_daemon(mark: str) -> bool:
    """Whether a mark itself says that it was the daemon that died, so that no stack has to."""
    return bool(_KILLED.search(mark) or _POD.search(mark))


def is_of_go(mark: str) -> bool:
    """Whether only a Go program prints a mark."""
    return _GO.search(mark) is not None
