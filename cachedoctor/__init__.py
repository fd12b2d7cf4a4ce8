"""Diagnose BuildKit build caches whose export hangs or that are never used again.

Scripts `load` a cache, `analyze` it, `repair` it and `write` what came out; the names in `__all__` stay as they are.
"""

# All at once: were it loaded later, the subpackage `repair` would take the place of the function.
from cachedoctor.analysis.analyze import Analysis
from cachedoctor.api import analyze, load, repair, to_dict, write
from cachedoctor.errors import InputError, LimitError, ProofError
from cachedoctor.repairs.repair import Repaired
from cachedoctor.rules import Finding, Limits, Severity
from cachedoctor.sources import Access, CacheDocument

__version__ = "0.1.0"

__all__ = [
    "Access",
    "Analysis",
    "CacheDocument",
    "Finding",
    "InputError",
    "LimitError",
    "Limits",
    "ProofError",
    "Repaired",
    "Severity",
    "analyze",
    "load",
    "repair",
    "to_dict",
    "write",
]
