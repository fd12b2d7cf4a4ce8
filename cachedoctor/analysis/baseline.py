"""A file of known findings, so that an old cache passes as long as nothing gets worse."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import read_bounded, write_atomically
from cachedoctor.numbers import digits, number
from cachedoctor.rules import Finding, Measure, Severity
from cachedoctor.rules.registry import grown
from cachedoctor.text import unpinned

VERSION = 1
MOST_BYTES = 16 << 20
MOST_DIGITS = 1_000_000
"""Digits of one number: more than a check ever counts, and converted within a second."""
MOST_DIGITS_IN_ALL = 4_000_000
_SEVERITIES = {str(severity): severity for severity in Severity}

Key = tuple[str, str, str]
"""Source (empty for all together), id of the rule, unit of the measure."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One known finding."""

    severity: Severity
    measure: Measure


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known findings, largest first under each key."""

    path: str
    entries: Mapping[Key, tuple[Entry, ...]]

    def marked(self, analysis: Analysis) -> list[Finding]:
        """The findings of an analysis in their order, marked as known if they are here and did not get worse.

        Several under one key, such as those of the platforms of an image, are compared in order of size.
        """
        known = set()
        groups: dict[Key, list[int]] = {}
        for index, finding in enumerate(analysis.findings):
            groups.setdefault(_key(analysis, finding), []).append(index)
        for key, indices in groups.items():
            indices.sort(key=lambda index: -analysis.findings[index].measure.value)
            for index, entry in zip(indices, self.entries.get(key, ()), strict=False):
                if not _worse(analysis.findings[index], entry):
                    known.add(index)
        return [replace(finding, known=index in known) for index, finding in enumerate(analysis.findings)]


def _key(analysis: Analysis, finding: Finding) -> Key:
    return unpinned(analysis.owner(finding)), finding.rule, finding.measure.unit


def _worse(finding: Finding, entry: Entry) -> bool:
    return finding.severity > entry.severity or grown(finding.measure, entry.measure)


def save(path: str, analysis: Analysis) -> None:
    """Write all findings of an analysis to a file. Raises `OSError`; then the file is as it was before.

    The file is `{"cachedoctor_baseline": 1, "findings": [{"source", "rule", "severity", "unit", "value", "exact"}]}`:
    `value` is a string of digits, `source` is what the user named, without a digest, and empty for all together.
    """
    rows = [
        {
            "source": source.encode("utf-8", "backslashreplace").decode(),
            "rule": rule,
            "severity": str(finding.severity),
            "unit": unit,
            "value": digits(finding.measure.value),
            "exact": finding.measure.exact,
        }
        for finding in analysis.findings
        for source, rule, unit in [_key(analysis, finding)]
    ]
    text = json.dumps({"cachedoctor_baseline": VERSION, "findings": rows}, indent=2)
    write_atomically(path, f"{text}\n".encode())


def load(path: str) -> Baseline:
    """Read what `save` wrote. Raises `InputError` for anything else."""
    with reading(path):
        data = read_bounded(path, MOST_BYTES, what="the baseline")
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("expected the JSON of a baseline, as --write-baseline writes it", source=path) from error
    if not isinstance(parsed, dict) or "cachedoctor_baseline" not in parsed:
        raise InputError("expected the JSON of a baseline, as --write-baseline writes it", source=path)
    if parsed["cachedoctor_baseline"] != VERSION:
        raise InputError(f"expected version {VERSION}; write the baseline again", "cachedoctor_baseline", source=path)
    return Baseline(path, _entries(path, parsed.get("findings")))


def _entries(path: str, rows: Any) -> dict[Key, tuple[Entry, ...]]:
    if not isinstance(rows, list):
        raise InputError("expected a list", "findings", source=path)
    grouped: dict[Key, list[Entry]] = {}
    left = MOST_DIGITS_IN_ALL
    for index, row in enumerate(rows):
        try:
            left -= len(row["value"])
            if left < 0:
                raise InputError(
                    f"more than {MOST_DIGITS_IN_ALL:,} digits up to here", f"findings[{index}]", source=path
                )
            key = (_text(row["source"]), _text(row["rule"]), _text(row["unit"]))
            measure = Measure(key[2], _natural(row["value"]), row["exact"] is True)
            entry = Entry(_SEVERITIES[row["severity"]], measure)
        except (KeyError, TypeError, ValueError) as error:
            what = "expected source, rule, severity, unit, value (a string of digits) and exact"
            raise InputError(what, f"findings[{index}]", source=path) from error
        grouped.setdefault(key, []).append(entry)
    return {key: tuple(sorted(entries, key=lambda entry: -entry.measure.value)) for key, entries in grouped.items()}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _natural(value: object) -> int:
    if not isinstance(value, str) or len(value) > MOST_DIGITS or not re.fullmatch("[0-9]+", value):
        raise ValueError
    return number(value)
