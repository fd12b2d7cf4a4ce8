"""The page on profiles names every cause and format."""

from __future__ import annotations

import re

from cachedoctor.diagnosis.causes.registry import all_causes
from tests.docs.pages import CODE, DOCS, prose
from tests.report.rendered import OF_PROFILES

PAGE = prose(DOCS / "profile.md")


def test_every_cause_and_format_is_named() -> None:
    assert set(all_causes()) <= set(CODE.findall(PAGE))
    assert set(OF_PROFILES) <= set(re.findall(r"[a-z]+", PAGE))
