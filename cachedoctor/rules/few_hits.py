"""Fewer steps of a build hit than `--min-hits` asks for.

**What it means.** Most of the build runs again, although it imports this cache.

**How it is found.** Only with `--min-hits` and `--build`. The steps of the build are looked up in the cache the way
BuildKit looks them up. Of those whose outcome is known, the percentage that hits is compared with the limit. Steps that
depend on the content of files, or on what an earlier step produces, are unknown: they count neither way. A build of
which no step is known passes. Each build is judged on its own, so one platform cannot make up for another.

**Severity.** Error.

**Versions.** Every BuildKit.

**What you see.** Steps that used to be `CACHED` run.

**What to do.** Look at the first step that misses: those after it miss because of it.
[Why did this step miss?](why-did-it-miss.md) explains each reason and what to change.

**What does not help.** More `--cache-from` sources, if the step itself changed: no cache has the new one.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.builds.hits import Hits, Reason, State
from cachedoctor.builds.known import line
from cachedoctor.numbers import plural
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD401",
    "few-hits",
    Severity.ERROR,
    affects=str(EVERY),
    help=("Look at the first step that misses: those after it miss because of it. The table of steps says why.",),
    scope=Scope.BUILD,
    table="steps",
)
def few_hits(context: Context) -> Iterator[Found]:
    """Compare the steps of each build that hit with the limit."""
    limit = context.limits.min_hits
    for hits in context.known.hits if limit is not None else ():
        hit, miss = hits.count(State.HIT), hits.count(State.MISS)
        if limit is not None and 100 * hit < limit * (hit + miss):
            yield _found(context, hits, limit)


def _found(context: Context, hits: Hits, limit: float) -> Found:
    build = context.known.builds[hits.build]
    hit, miss = hits.count(State.HIT), hits.count(State.MISS)
    # Steps that only miss because an earlier one does are not what has to change.
    missed = [step for step in hits.steps if step.state is State.MISS]
    causes = [step for step in missed if step.reason is not Reason.INPUT_MISSED] or missed
    lines = [location for step in causes for location in build.steps[step.step].locations[:1]]
    first = f" The first to miss is {line(lines[0])}: {causes[0].because}." if lines else ""
    platform = f" for {build.platform}" if build.platform else ""
    return Found(
        f"Only {hit:,} of {plural(hit + miss, 'step')}{platform} whose outcome is known will hit, "
        f"{100 * hit // (hit + miss)}%; the limit is {limit:g}%.{first}",
        measure=Measure("steps", miss),
        lines=lines,
    )
