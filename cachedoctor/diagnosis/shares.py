"""How time is divided among phases: exactly in a profile, roughly in a table."""

from __future__ import annotations

import re

from cachedoctor.diagnosis.phases import Phase, moves_bytes, phase_of
from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.top import Row, Top

_CALLER = re.compile(r"remotecache/v1\.\(\*CacheChains\)\.(Marshal|normalize)$")


def shares(profile: Profile) -> dict[Phase, float]:
    """The share of the total in each phase, largest first; each sample counts once, in the phase of its stack."""
    order = list(Phase)
    by_function = [order.index(phase) if phase else -1 for phase in map(phase_of, profile.names)]
    by_transport = [order.index(Phase.NETWORK) if moves_bytes(name) else -1 for name in profile.names]
    values = profile.samples.by_label(by_function, by_transport)
    total = profile.total
    if not total:
        return {}
    values[order.index(Phase.OTHER)] = values.pop(-1, 0)
    return _sorted({phase: values.get(number, 0) / total for number, phase in enumerate(order)})


def widest(top: Top) -> dict[Phase, Row]:
    """For each phase the function with the largest cum value; functions that only call other phases are left out."""
    workers: dict[Phase, Row] = {}
    callers: dict[Phase, Row] = {}
    for row in top.rows:
        phase = phase_of(row.function) or (Phase.NETWORK if moves_bytes(row.function) else None)
        if phase:
            kept = callers if _CALLER.search(row.function) else workers
            if phase not in kept or abs(row.cum) > abs(kept[phase].cum):
                kept[phase] = row
    graph = {Phase.LOOP_CHECK, Phase.MARSHALLING, Phase.MERGING, Phase.RE_ADDING}
    return workers if graph & set(workers) else {**callers, **workers}


def shares_of_table(top: Top) -> dict[Phase, float]:
    """The shares, estimated from a table, which does not show the functions' calls.

    A phase has the cum value of its widest function, that of file trees without what is compressed. If the phases still
    sum up to more than the total, the outer ones, which call the others, get less.
    """
    if not top.total:
        return {}
    cums = {phase: abs(row.cum) for phase, row in widest(top).items()}
    if Phase.DIFF in cums:
        cums[Phase.DIFF] = max(0, cums[Phase.DIFF] - cums.get(Phase.COMPRESSION, 0))
    excess = sum(cums.values()) - top.total
    for outer in (Phase.MERGING, Phase.MARSHALLING, Phase.DIFF, Phase.NETWORK, Phase.DATABASE, Phase.COMPRESSION):
        less = max(0, min(excess, cums.get(outer, 0)))
        if less:
            cums[outer] -= less
            excess -= less
    known = {phase: min(1.0, cum / top.total) for phase, cum in cums.items()}
    return _sorted({**known, Phase.OTHER: max(0.0, 1.0 - sum(known.values()))})


def _sorted(shares: dict[Phase, float]) -> dict[Phase, float]:
    kept = [(phase, share) for phase, share in shares.items() if share > 0]
    return dict(sorted(kept, key=lambda item: (item[0] is Phase.OTHER, -item[1])))
