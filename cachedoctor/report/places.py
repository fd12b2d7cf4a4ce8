"""Where findings are, and which of two runs are the same, for formats that others read."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.builds.build import Location as BuildLocation
from cachedoctor.errors import InputError
from cachedoctor.rules import Finding, Severity
from cachedoctor.sources import Location, parse
from cachedoctor.text import printable, unpinned


def path_of(source: str) -> str | None:
    """The path of a source relative to the current folder, `None` if it is not a file or folder in it."""
    location = _location(source)
    if location is None or not location.is_path:
        return None
    try:
        path = Path(os.path.relpath(source))
    except OSError:  # the current folder is gone
        return None
    return None if path.parts[:1] == (os.pardir,) else path.as_posix()


def path_or_name(source: str) -> str:
    """The path of a source, or one made up from its name if it is not a file below the current folder.

    `host/app-cache:main` is such a name; the current folder itself has no such path.
    """
    path = path_of(source)
    if path and path != os.curdir:
        return path
    location = _location(source)
    name = location.name if location else source.split("://", 1)[-1]
    return printable(name).lstrip("./") or "cache"


def _location(source: str) -> Location | None:
    """The place that a source names, `None` if it is not a valid reference."""
    with suppress(InputError):
        return parse(source)
    return None


def uri(path: str) -> str:
    """A relative path as a URI reference (RFC 3986), with every character escaped that is not plain."""
    return quote(path.encode("utf-8", "surrogateescape"))


def sources_of(finding: Finding, analysis: Analysis) -> list[str]:
    """The sources that have to change: one, or all of them if the finding is about all together."""
    owner = analysis.owner(finding)
    return [owner] if owner else analysis.sources


def line_of(finding: Finding) -> BuildLocation | None:
    """The line of a Dockerfile to show a finding at, `None` if it has none. Nobody has to change a line for a note."""
    return finding.locations[0] if finding.locations and finding.severity > Severity.NOTE else None


def path_in_repository(line: BuildLocation) -> str:
    """The file of a line as a path below the root of its repository."""
    return "/".join(part for part in line.file.split("/") if part not in ("", os.curdir, os.pardir))


def fingerprints(analysis: Analysis) -> list[str]:
    """For each finding, digits that stay the same from run to run while rule and source do, and that no two share."""
    seen: Counter[tuple[str, ...]] = Counter()
    digits = []
    for finding in analysis.findings:
        key = (finding.rule, finding.measure.unit, unpinned(analysis.owner(finding)))
        text = "\0".join((*key, str(seen[key])))
        digits.append(sha256(text.encode("utf-8", "backslashreplace")).hexdigest())
        seen[key] += 1
    return digits


def sentence(finding: Finding) -> str:
    """What was found and what helps most, in one line."""
    return printable(" ".join((finding.message, *finding.help[0].split("\n"))))


def section(rule: str, name: str) -> str:
    """Where the documentation of this project explains a rule."""
    return f"docs/rules.md#{rule.lower()}-{name}"
