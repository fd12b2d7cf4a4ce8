"""No cache lookup can reach a record.

**What it means.** No chain of inputs leads to the record from a root.

**How it is found.** Starting from the roots (records without inputs), a record is reached as soon as every one of its
inputs has an alternative that is reached. What is never reached is dead: records with an empty input, records on a
cycle without another way in, records that BuildKit leaves out because their digest begins with `random:`, and
everything that can only be made from these.

**Severity.** Note.

**Versions.** Every BuildKit. Exporters from v0.9 to v0.24 leave dead records out by themselves, except those whose
empty inputs are the last ones, since they do not see these ([CD102](#cd102-empty-input)). [Their cost](cost.md) counts
such a record.

**What you see.** Nothing.

**What to do.** No action needed: they only take up space. [Starting over](#a-fresh-start) leaves them behind.

**What does not help.** More `--cache-from` sources: a dead record needs a working link of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.numbers import count
from cachedoctor.rules._shared import named
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD302",
    "dead-record",
    Severity.NOTE,
    affects=str(EVERY),
    help=("No action needed: they only take up space. cachedoctor repair and BuildKit's next export leave them out.",),
    scope=Scope.TOGETHER,
)
def dead_record(context: Context) -> Iterator[Found]:
    """List the records that cannot be derived."""
    survey = context.survey
    if survey.dead_records:
        alive = set(survey.order)
        dead = [record for record in range(survey.graph.size) if record not in alive]
        yield Found(
            f"{count(len(dead))} of {survey.graph.size:,} records can never be a cache hit: no chain of inputs leads "
            "from a root to them.",
            named(dead, context),
        )
