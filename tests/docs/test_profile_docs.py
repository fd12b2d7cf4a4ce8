"""The pages on profiles name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cachedoctor.analysis import analyze
from cachedoctor.diagnosis import diagnose
from cachedoctor.pprof.causes import Cause
from cachedoctor.pprof.load import load
from cachedoctor.pprof.phases import Phase
from cachedoctor.report.profiled import FORMATS
from cachedoctor.report.profiled.json import document
from cachedoctor.sources import load as load_cache
from tests.docs.test_docs import DOCS, keys, prose
from tests.support import FIXTURES, run

PAGE = prose(DOCS / "profile.md")


def emitted() -> set[str]:
    caches = analyze(load_cache(str(FIXTURES / "manifests/diamond-8.json"))).survey
    found: set[str] = set()
    for name in ("cpu-stuck.pprof", "goroutine-stuck-debug2.txt"):
        found |= set(keys(document(diagnose([load(str(FIXTURES / "profiles" / name))], caches=caches))))
    wait: dict[str, Any] = {"waits": [{"count": 1, "phase": "", "function": "", "state": "", "minutes": 1}]}
    return found | set(keys(wait))


def test_every_key_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", prose(DOCS / "json-profile.md"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == emitted()


def test_every_cause_and_phase_is_named() -> None:
    named = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {str(cause) for cause in Cause} <= named
    assert {str(phase) for phase in Phase} <= set(re.findall(r"`([^`\n]+)`", prose(DOCS / "json-profile.md")))
    assert set(FORMATS) <= set(re.findall(r"[a-z]+", PAGE))


def test_the_answer_shown_is_real() -> None:
    text = (DOCS / "profile.md").read_text()
    command, shown = re.findall(r"```\n(cachedoctor profile fixtures.*)\n```\n\n```\n((?:.*\n)*?)```", text)[0]
    printed = run(*command.split()[1:], cwd=Path(__file__).parent.parent.parent).stdout.decode()
    assert printed.startswith(shown)


def test_every_option_that_is_named_exists() -> None:
    known = run("profile", "--help").stdout.decode()
    for line in re.findall(r"^.*cachedoctor profile .*$", (DOCS / "profile.md").read_text(), re.MULTILINE):
        for option in re.findall(r" (--[a-z][a-z-]*)", line):
            assert option in known
