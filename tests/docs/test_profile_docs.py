"""The page on profiles names every cause and format."""

from __future__ import annotations

import re

from cachedoctor.diagnosis.causes import Cause
from tests.docs.pages import CODE, DOCS, prose
from tests.report.rendered import OF_PROFILES

PAGE = prose(DOCS / "profile.md")


def test_every_cause_and_format_is_named() -> None:
    assert {str(cause) for cause in Cause} <= set(CODE.findall(PAGE))
    assert set(OF_PROFILES) <= set(re.findall(r"[a-z]+", PAGE))
