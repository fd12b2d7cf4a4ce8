"""Adding records that are known already walks very many descendants.

**What it means.** Since v0.25, a record that equals a known one walks all records that are made from it, directly or
not, to make sure that no new link closes a loop. Adding a cache that is already known does so for every record.

**How it is found.** The number of descendants of each merged record, loops cut, is summed and multiplied by 60 ns. Up
to 16,384 records the sum is exact; above that it is [estimated from a sample](cost.md#re-adding-known-records), and
the message says "about".

**Severity.** Silent below 1 second (about 17 million descendants), then a warning; error above 60 seconds (about 1
billion). In a single chain that is from 5,800 and from 45,000 records.

**Versions.** v0.25 and later. Silent with an older `--buildkit`.

**What you see.** Importing a second tag with the same records is slow, or exporting is; a CPU profile shows
`(*CacheChains).Add` and `(*item).walkChildren`.

**What to do.**

1. Import one tag instead of several that hold the same records: a single `--cache-from type=registry,ref=…`.
   [`cachedoctor repair A B -o JOINED`](repair.md) makes one of them.
2. [Start over](#a-fresh-start), so that the cache holds fewer records.

[Report it upstream](report-upstream.md) without showing what you build.

**What does not help.** Downgrading below v0.25: the loop check there is worse on nearly every graph. `mode=min`: it
drops layers, not records.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import REWRITTEN, SECONDS_PER_WALK_STEP
from cachedoctor.graph import cost
from cachedoctor.numbers import plural, taking
from cachedoctor.rules._shared import START_OVER, severity_of
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD203",
    "slow-re-add",
    Severity.WARNING,
    affects=str(REWRITTEN),
    help=(
        "Import one cache tag instead of several that hold the same records: cachedoctor repair A B -o JOINED makes "
        "one of them.",
        START_OVER,
    ),
    scope=Scope.TOGETHER,
)
def slow_re_add(context: Context) -> Iterator[Found]:
    """Count the descendants that importing the whole cache a second time walks."""
    walk = context.survey.walk
    seconds = cost.seconds(walk.steps, SECONDS_PER_WALK_STEP)
    severity = severity_of(seconds, context.limits)
    if severity is not None and REWRITTEN.concerns(context.buildkit):
        about = "" if walk.exact else "about "
        yield Found(
            f"Importing this cache a second time on BuildKit {REWRITTEN} walks {about}"
            f"{plural(walk.steps, 'descendant')} of its {plural(context.survey.merged.size, 'record')}"
            f"{taking(seconds)}.",
            severity=severity,
            measure=Measure("steps", walk.steps, walk.exact),
        )
