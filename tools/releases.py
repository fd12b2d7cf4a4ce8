"""What is known to be wrong with which release of BuildKit, from the constants in `cachedoctor.buildkit`."""

from __future__ import annotations

from cachedoctor.buildkit import FAULTS, NEWEST_ENGINE, RECOMMENDED, Span, engines
from tools.markdown import table


def releases() -> str:
    """A table of the faults of releases, with the Docker Engines that have these, and of what has none of them."""
    rows = [
        (str(fault.releases), engines(fault.releases), fault.what, fault.remedy or "upgrade")
        for fault in sorted(FAULTS, key=lambda fault: fault.releases.since or RECOMMENDED)
    ]
    since = Span(RECOMMENDED)
    has = engines(since) or f"none up to {NEWEST_ENGINE}"
    rows.append((str(since), has, "none that is known here", f"`--driver-opt image={RECOMMENDED.image}`"))
    return table(("BuildKit", "Docker Engine", "known fault", "what helps, short of an upgrade"), rows)
