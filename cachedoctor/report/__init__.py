"""Reports: an analysis as text, JSON or markdown."""

from cachedoctor.report.interface import FORMATS, Report, Style, report

__all__ = ["FORMATS", "Report", "Style", "report"]
