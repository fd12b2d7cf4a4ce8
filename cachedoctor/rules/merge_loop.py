"""Merging equal records closes a loop.

**What it means.** When caches are merged, equal records become one. Here this closes a loop, although no document has
a cycle of its own. Exporters remove links until there is no loop left, and a step behind a removed link may miss the
cache later.

**How it is found.** The strongly connected components with a cycle, after merging to the fixpoint. The message shows
a shortest cycle, and the finding has the digests of all members. If there is none, the rule still fires if any of the
replayed orders of the exporter of v0.9 to v0.24 merges records into a loop. If there is a
[CD103](#cd103-record-cycle), it is silent.

**Severity.** Warning.

**Versions.** v0.9 to v0.24 drop links at random: it depends on the order of their walk. v0.25 and later drop each
link that would close a loop.

**What you see.** No message from the importer. A step that was `CACHED` yesterday runs today, although nothing
changed.

**What to do.**

1. Run [`cachedoctor repair SOURCE... -o DEST`](repair.md). It joins the sources, and cuts loops so that every usable
   record can still be reached.
2. Do not copy the same content back and forth between stages. Copy it from the stage where it was made.
3. Or import these tags one at a time: each may be clean alone. `cachedoctor check` judges each, then all together.
4. [Start over](#a-fresh-start).

[Report it upstream](report-upstream.md) without showing what you build.

**What does not help.** Changing the order of `--cache-from`: other links may be removed, but the loop stays.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import LOOP_CHECK, REWRITTEN
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import START_OVER, agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule

_SHOWN = 4
"""Records of a loop that the message shows."""


@rule(
    "CD204",
    "merge-loop",
    Severity.WARNING,
    affects=f"{LOOP_CHECK} drop links at random; {REWRITTEN} drop each link that would close a loop",
    help=(
        "Run repair. It joins several sources, and cuts loops so that every usable record can still be reached.\n"
        "cachedoctor repair SOURCE... -o DEST",
        "Do not copy the same content back and forth between stages: copy it from the stage where it was made.",
        "Or import these tags one at a time: each may be clean alone.",
        START_OVER,
    ),
    scope=Scope.TOGETHER,
)
def merge_loop(context: Context) -> Iterator[Found]:
    """List the loops of the merged graph, if no document has a cycle of its own."""
    survey = context.survey
    if survey.record_cycles:
        return
    if survey.loops:
        digests = [survey.graph.digests[record] for record in survey.merged.records]
        members = [digests[item] for loop in survey.loops for item in loop.items]
        cycle = [context.known.call(survey, survey.merged.records[item]) for item in survey.loops[0].example]
        lines = context.known.lines(
            survey, (survey.merged.records[item] for loop in survey.loops for item in loop.items)
        )
        shown = " → ".join([*cycle[:_SHOWN], *(["…"] if len(cycle) > _SHOWN else []), cycle[0]])
        number = "a loop" if len(survey.loops) == 1 else plural(len(survey.loops), "loop")
        yield Found(
            f"{plural(len(members), 'record')} {agree(len(members), 'forms', 'form')} {number} once equal records are "
            f"merged, for example {shown}. Exporters remove links until no loop is left, and a step behind a removed "
            f"link may miss the cache. Which links {LOOP_CHECK} remove varies from run to run.",
            members,
            members=frozenset(members),
            lines=lines,
        )
    elif any(order.links_removed for order in survey.loop_check.orders):
        yield Found(
            f"In some orders, the exporter of {LOOP_CHECK} merges records into a loop and removes links from it.",
            members=frozenset(),
        )
