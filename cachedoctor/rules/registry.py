"""All rules in the order of their ids, each with what it means for versions and what to do."""

from __future__ import annotations

from collections.abc import Container, Iterator

from cachedoctor.rules import document, export, waste
from cachedoctor.rules.interface import MOST_RECORDS, Context, Finding, Measure, Rule, Severity

_UPGRADE = "Upgrade the builder to BuildKit v0.25 or later."
_FRESH = (
    "Start afresh: export to a new cache tag from a new builder, importing nothing for one build. A new tag alone is "
    "filled again with what the builder's own store remembers."
)
_REPAIR = "cachedoctor repair SOURCE -o DEST mends it, and keeps every record that can be derived and every result."
_ANEW = "Or delete the cache, or export to a new tag: BuildKit does not mend it by importing it."
_MIN = (
    "mode=min is no cure: it exports fewer results and layers, but all records, and so all paths; what helps is not to "
    "export on every build."
)
_ALL = "every BuildKit"

RULES: tuple[Rule, ...] = (
    Rule(
        "CD101",
        "config-too-large",
        Severity.ERROR,
        "every BuildKit up to v0.32 (a higher limit is proposed, not released)",
        (
            "cachedoctor repair SOURCE -o DEST --max-bytes 1MiB removes as few alternatives as reach the limit, and "
            "keeps every record and every result.",
            _FRESH,
            "Give each Dockerfile or target its own cache tag, and import only that one.",
            "Or export an inline cache (type=inline): it has no such limit, and holds the final stage's results.",
            "mode=min saves little: it leaves out results and layers, but the records are what takes the room.",
        ),
        document.config_too_large,
    ),
    Rule(
        "CD102",
        "empty-input",
        Severity.ERROR,
        "v0.25 and later refuse the cache; older ones drop the record",
        (_REPAIR, _ANEW, "Until then an importer before v0.25 still reads the rest of it."),
        document.empty_input,
    ),
    Rule("CD103", "record-cycle", Severity.ERROR, _ALL, (_REPAIR, _ANEW), document.record_cycle),
    Rule("CD104", "bad-index", Severity.ERROR, _ALL, (_REPAIR, _ANEW), document.bad_index),
    Rule("CD105", "layer-cycle", Severity.ERROR, _ALL, (_REPAIR, _ANEW), document.layer_cycle),
    Rule(
        "CD106",
        "dangling-tag",
        Severity.WARNING,
        "seen from v0.21.1 with type=local,image-manifest=true",
        (
            "Import it by the digest that is there: --cache-from type=local,src=DIR,digest=sha256:...",
            "Export with image-manifest=false, or with a later BuildKit.",
        ),
        document.dangling_tag,
    ),
    Rule(
        "CD201",
        "path-explosion",
        Severity.WARNING,
        "v0.9 to v0.24",
        (
            _UPGRADE + " It merges without walking paths, and exports this cache at once.",
            "Have fewer diamonds in the Dockerfile: a stage that is copied from on several ways, which meet again "
            "later, doubles the paths each time. The hotspots show where.",
            "If the cache grew over many imports: cachedoctor repair SOURCE -o DEST --max-calls N. It does not help "
            "where the Dockerfile itself has the diamonds: the exporter makes both alternatives of every step anew.",
            _FRESH,
            _MIN,
            "If an export is stuck now: cancelling the build does not stop the loop check. Restart buildkitd.",
        ),
        export.path_explosion,
    ),
    Rule(
        "CD202",
        "deep-layer-chain",
        Severity.WARNING,
        _ALL,
        (
            "Have fewer layers in one chain: join RUN and COPY steps, or start stages anew from a base image.",
            "Export with mode=min, so that fewer results of the chain are marshalled.",
        ),
        export.deep_layer_chain,
    ),
    Rule(
        "CD203",
        "slow-re-add",
        Severity.WARNING,
        "v0.25 and later",
        (
            "Import one cache tag instead of several that hold the same records.",
            _FRESH,
        ),
        export.slow_re_add,
    ),
    Rule(
        "CD204",
        "merge-loop",
        Severity.WARNING,
        "v0.9 to v0.24 remove links by chance; v0.25 and later as they come",
        (
            "Do not copy the same content to and fro between stages: copy it from where it was made.",
            "cachedoctor repair SOURCE... -o DEST joins them, and cuts loops where every record can still be derived.",
            "Or import these tags one at a time: each may be clean alone.",
            _FRESH,
        ),
        export.merge_loop,
    ),
    Rule(
        "CD301",
        "duplicate-records",
        Severity.NOTE,
        _ALL,
        ("Nothing has to be done: cachedoctor repair, and BuildKit v0.25 and later at the next export, merge them.",),
        waste.duplicate_records,
    ),
    Rule(
        "CD302",
        "dead-record",
        Severity.NOTE,
        _ALL,
        ("They only take room; cachedoctor repair and the next export of BuildKit leave them out.",),
        waste.dead_record,
    ),
    Rule(
        "CD303",
        "missing-blob",
        Severity.WARNING,
        _ALL,
        (
            "Export the cache again: the steps of these records run anew, and their layers are pushed.",
            "Look for a registry clean-up that rewrites manifests, or a copy that was cut short.",
        ),
        waste.missing_blob,
    ),
    Rule(
        "CD304",
        "unused-layer",
        Severity.NOTE,
        _ALL,
        ("They only take room; cachedoctor repair leaves them out.",),
        waste.unused_layer,
    ),
)


OF_DOCUMENTS = frozenset({"CD101", "CD102", "CD103", "CD104", "CD105", "CD106", "CD303", "CD304"})
"""Rules that look at one document after the other; the others look at the graph that all of them make."""
OF_SOURCES = OF_DOCUMENTS | {"CD301"}
"""Rules that all sources together never break where each keeps them: sharing records is what several are there for."""


def findings(context: Context, only: Container[str] | None = None) -> list[Finding]:
    """What the rules find, all or `only` those with these ids, worst first, then by id."""
    asked = [rule for rule in RULES if only is None or rule.id in only]
    found = [finding for rule in asked for finding in _of_rule(rule, context)]
    return sorted(found, key=lambda finding: (-finding.severity.rank, finding.rule))


def _of_rule(rule: Rule, context: Context) -> Iterator[Finding]:
    for found in rule.check(context):
        yield Finding(
            rule=rule.id,
            name=rule.name,
            severity=found.severity or rule.severity,
            message=found.message,
            affects=rule.affects,
            help=rule.help,
            records=tuple(found.records[:MOST_RECORDS]),
            count=len(found.records),
            source=found.source,
            measure=found.measure or Measure("records", len(found.records)),
        )
