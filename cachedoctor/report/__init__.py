"""Reports: an analysis for people, for scripts, and for what shows findings in a pipeline."""

from cachedoctor.report.interface import FORMATS, Report, Style, report

__all__ = ["FORMATS", "Report", "Style", "report"]
