"""The cache has several leaves: importers of BuildKit v0.25 to v0.32 drop links, so steps miss at random.

**What it means.** A leaf is a record that no other is made from. These releases store a cache leaf by leaf, in random
order. If a record that is stored already leads to several new ones, only the first of these links is made; the others
are dropped without a word. A record whose input has no link left is never found, nor is what is made from it.

**How it is found.** The importer is replayed on the merged records, in many orders of leaves and alternatives: the
message says how many links were lost, and how many records could still be derived with the others, at best and at
worst. A cache that takes very long to walk is replayed once, and the numbers are given as "about". Each source is
judged by itself, since every `--cache-from` is imported by itself.

**Severity.** Warning; error if it can happen that fewer than half of the records are found. Silent if no order loses
a link.

**Versions.** v0.25 to v0.32. Silent with any other `--buildkit`. Earlier importers have no such fault, and v0.33 is
the first release without it (pull request 7053, August 2026).

**What you see.** Nothing is logged. Steps that were `CACHED` yesterday run again, other ones in each build, although
the cache was imported without errors.

**What to do.**

1. Run [`cachedoctor repair SOURCE -o DEST`](repair.md). It adds a record that links to all leaves. The cache then has
   one leaf, of which no importer loses anything. Do so after each export: BuildKit does not export that record again.
2. Or upgrade the builder to v0.33 or later, which finds every record of the cache as it is.
3. Several leaves come from multi-platform builds, from builders that many builds share, and from several tags in one.
   [Starting over](#a-fresh-start) with a tag for each Dockerfile and platform gives caches with fewer leaves.

**What does not help.** Importing the cache twice, or importing several tags at once: these releases lose more then.
Downgrading below v0.25 ends it, but brings [CD201](#cd201-path-explosion) back.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import LOSES_LINKS, RECOMMENDED, UPGRADE_ENGINE
from cachedoctor.graph.imports import Imported, Spread
from cachedoctor.graph.survey import Survey
from cachedoctor.numbers import count, count_range, plural
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD107",
    "lost-links",
    Severity.WARNING,
    affects=str(LOSES_LINKS),
    help=(
        "Repair it after each export. This adds a record that links to all leaves, so that every release finds every "
        "record.\ncachedoctor repair SOURCE -o DEST",
        f"Or upgrade the builder to BuildKit {RECOMMENDED.line} or later, which finds every record of the cache as it "
        "is.",
        UPGRADE_ENGINE,
        "Do not import several tags at once instead: these releases then lose more.",
    ),
    scope=Scope.DOCUMENT,
)
def lost_links(context: Context) -> Iterator[Found]:
    """Replay the import of each document."""
    if not LOSES_LINKS.concerns(context.buildkit):
        return
    alone = len(context.documents) == 1
    for document in context.documents:
        survey = context.survey if alone else Survey([document.config])
        imported = survey.imported
        if not imported.links_lost.most:
            continue
        found = imported.records_found
        records = plural(imported.records, "record")
        lost = f"{_spread(imported.links_lost, imported)} of its {plural(imported.links, 'link')}"
        few = found.least < imported.records
        yield Found(
            f"The cache has {count(imported.leaves)} leaves, and importers of BuildKit {LOSES_LINKS} drop {lost}. "
            + (
                f"Of its {records}, an import finds {_spread(found, imported)}{_usually(found)}. Steps that need "
                "the others run again, and no log says so."
                if few
                else f"All of its {records} are still found, but not in every way in which they could be."
            ),
            [survey.merged.records[item] for item in imported.ends if item < imported.records],
            document.source,
            Severity.ERROR if 2 * found.least < imported.records else None,
            Measure("lost links", imported.links_lost.most, exact=False),
            headline=f"BuildKit {context.buildkit or LOSES_LINKS} may find only {_spread(found, imported)} of the "
            f"{records}, at random."
            if few
            else "",
        )


def _spread(numbers: Spread, imported: Imported) -> str:
    about = "about " if imported.orders == 1 else ""
    return about + count_range(numbers.least, numbers.most)


def _usually(numbers: Spread) -> str:
    return f", usually {count(numbers.typical)}" if numbers.least < numbers.most else ""
