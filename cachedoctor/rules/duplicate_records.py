"""Several records are the same record once the cache is merged.

**What it means.** They have the same digest and the same number of inputs, and share an alternative at every input.

**How it is found.** Records that are neither dead nor the first of their merged record are counted, so three equal
records count as two. "At least" means that merging was stopped before it was [complete](cost.md#merging). With
several sources, records that two of them have in common count too; that is normal.

**Severity.** Note.

**Versions.** Every BuildKit.

**What you see.** Nothing, except a larger config.

**What to do.** No action needed: v0.25 and later merge them at the next export.

**What does not help.** Removing them by hand: other records link to them by index.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY, REWRITTEN
from cachedoctor.numbers import count
from cachedoctor.rules._shared import agree, named
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD301",
    "duplicate-records",
    Severity.NOTE,
    affects=str(EVERY),
    help=(f"No action needed: cachedoctor repair, or the next export of BuildKit {REWRITTEN}, merges them.",),
    scope=Scope.SOURCE,
)
def duplicate_records(context: Context) -> Iterator[Found]:
    """Count the records that merging joins with another one."""
    survey = context.survey
    if survey.merged.size < len(survey.order):
        duplicates = [record for record in survey.order if survey.merge.representative[record] != record]
        least = "" if survey.merge.complete else "At least "
        be = agree(len(duplicates), "is a duplicate", "are duplicates")
        yield Found(
            f"{least}{count(len(duplicates))} of {len(survey.order):,} records {be} after merging.",
            named(sorted(duplicates), context),
        )
