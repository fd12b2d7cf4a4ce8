"""Diagnose BuildKit build caches whose export hangs or that are never used again.

Scripts `load` a cache, `analyze` it, `repair` it and `write` the result. The names in `__all__` are the public API and
stay; everything else in this package may change. Importing the package costs next to nothing: each name is loaded
when it is first used (PEP 562).
"""

# Of typing, only this name is needed, and importing it would take longer than all the rest of this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cachedoctor.api import (
        Access,
        Analysis,
        Build,
        CachedoctorError,
        CacheDocument,
        Finding,
        InputError,
        LimitError,
        Limits,
        ProofError,
        Repaired,
        Severity,
        analyze,
        load,
        load_builds,
        repair,
        to_dict,
        write,
    )

__version__ = "0.1.0"

__all__ = [
    "Access",
    "Analysis",
    "Build",
    "CacheDocument",
    "CachedoctorError",
    "Finding",
    "InputError",
    "LimitError",
    "Limits",
    "ProofError",
    "Repaired",
    "Severity",
    "analyze",
    "load",
    "load_builds",
    "repair",
    "to_dict",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cachedoctor import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
