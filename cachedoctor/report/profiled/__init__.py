"""Reports of a profile's diagnosis."""

from cachedoctor.report.profiled.interface import FORMATS, Report, report

__all__ = ["FORMATS", "Report", "report"]
