"""Recognizes the steps of builds in the records of caches."""

from __future__ import annotations

from collections.abc import Sequence

from cachedoctor.builds.build import Build
from cachedoctor.builds.known import NOTHING, Known
from cachedoctor.graph.survey import Survey


def recognize(builds: Sequence[Build], survey: Survey, before: Sequence[Build] = ()) -> Known:
    """What `builds` call the records of a survey, and what will become of their steps.

    `before` are the builds that wrote the cache.
    """
    return NOTHING
