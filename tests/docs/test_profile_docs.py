"""The page on profiles names every cause and format."""

from __future__ import annotations

import re

from cachedoctor.diagnosis.causes import Cause
from cachedoctor.report.profiled import FORMATS
from tests.docs.pages import CODE, DOCS, prose

PAGE = prose(DOCS / "profile.md")


def test_every_cause_and_format_is_named() -> None:
    assert {str(cause) for cause in Cause} <= set(CODE.findall(PAGE))
    assert set(FORMATS) <= set(re.findall(r"[a-z]+", PAGE))
