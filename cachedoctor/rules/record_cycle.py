"""Records of one document link to each other in a cycle.

**What it means.** To reach any of these records, a build would have to have reached it before.

**How it is found.** The records and links of each document are taken as written, before anything is merged, and all
strongly connected components with a cycle are listed (Tarjan's algorithm). A record that links to itself is one too.
There is one finding a source. It names all records in cycles, and shows one shortest cycle.

**Severity.** Error. If there is such a cycle, [CD204](#cd204-merge-loop) is silent.

**Versions.** Every BuildKit.

**What you see.** `invalid looping record`, and the whole cache is refused.

**What to do.** [Repair it, or delete it](#repair-it-or-delete-it).

**What does not help.** Upgrading: every release refuses such a cache.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import DELETE, REFUSED, REPAIR, agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule

_SHOWN = 8
"""Records of a cycle that the message shows."""


@rule(
    "CD103",
    "record-cycle",
    Severity.ERROR,
    affects=str(EVERY),
    help=(REPAIR, DELETE),
    scope=Scope.DOCUMENT,
    refused_by=EVERY,
)
def record_cycle(context: Context) -> Iterator[Found]:
    """List the cycles of each document, before anything is merged."""
    survey = context.survey
    cycles_of: dict[int, list[tuple[list[int], list[int]]]] = {}
    for cycle in survey.record_cycles:
        documents = [survey.place(record)[0] for record in cycle.items]
        records = [survey.place(record)[1] for record in cycle.items]
        example = [survey.place(record)[1] for record in cycle.example]
        cycles_of.setdefault(documents[0], []).append((records, example))
    for document, cycles in sorted(cycles_of.items()):
        records = [record for members, _ in cycles for record in members]
        form = agree(len(records), "forms", "form")
        number = "a cycle" if len(cycles) == 1 else plural(len(cycles), "cycle")
        yield Found(
            f"{plural(len(records), 'record')} {form} {number} in the document itself, for example "
            f"{_shown(cycles[0][1])}. {REFUSED}",
            records,
            context.documents[document].source,
        )


def _shown(cycle: list[int]) -> str:
    rest = ["…"] if len(cycle) > _SHOWN else []
    return " → ".join([*map(str, cycle[:_SHOWN]), *rest, str(cycle[0])])
