"""The profile as a flame graph."""

from __future__ import annotations

from cachedoctor.diagnosis.causes import KNOWLEDGE
from cachedoctor.diagnosis.diagnose import Diagnosis
from cachedoctor.pprof import units
from cachedoctor.report.interface import Style
from cachedoctor.report.profiled.flamegraph import svg
from cachedoctor.report.profiled.folded import stacks


class Report:
    """One self-contained drawing."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """The SVG; the style makes no difference. Raises `InputError` where a table was read."""
        first = diagnosis.evidence[0]
        main = diagnosis.main.cause
        return svg(
            stacks(diagnosis),
            title=f"{first.sample_type} of {first.source}: {KNOWLEDGE[main].title}",
            value=lambda value: units.label(value, first.unit),
            total=first.total,
        )
