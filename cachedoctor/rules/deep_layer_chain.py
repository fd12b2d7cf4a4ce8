"""Results with many layers take long to marshal.

**What it means.** A result points to a layer, and with it to all parents of that layer. Before such a result is
written, BuildKit asks for each prefix of its chain of layers whether each blob still exists, and each lookup falls
through as many nested providers as there are layers. One result with L layers takes about L³/4 steps; a chain of n
steps, each with a result, about n⁴/16.

**How it is found.** For each merged record, the longest chain of layers among the newest results of its records, or
the longest list of a chain of an inline cache. ⌊L³/4⌋ is summed over these, and multiplied by 30 ns. Dead records are
left out.

**Severity.** Silent below 1 second, then a warning; error above 60 seconds. If every layer of one chain is a result,
that is from about 150 and from about 420 layers; with a single result, the warning starts at about 510.

**Versions.** Every BuildKit; measured on v0.21.1 and v0.32.2, which differ by a factor of 1.6. The cost arises if the
layers came from an imported cache: the importer nests one provider for each layer (`v1.getRemoteChain`).

**What you see.** `preparing build cache for export` is slow, one core is busy, and a CPU profile shows
`contentutil.(*MultiProvider).Info` below `marshalRemote`.

**What to do.**

1. Have fewer layers in one chain. Join `RUN` steps with `&&` or a here-document, join `COPY` steps, or start a new
   stage from a base image (`FROM base AS next`, then `COPY --from=` what it needs).
2. Export with `--cache-to type=registry,ref=…,mode=min`: results of intermediate stages are not converted to layers,
   so fewer results are marshaled.

[Report it upstream](report-upstream.md) without showing what you build.

**What does not help.** Upgrading: v0.32.2 makes the same lookups. Smaller layers: only their number counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY, SECONDS_PER_MARSHAL_STEP
from cachedoctor.graph import cost
from cachedoctor.numbers import plural, taking
from cachedoctor.rules._shared import severity_of
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD202",
    "deep-layer-chain",
    Severity.WARNING,
    affects=str(EVERY),
    help=(
        "Have fewer layers in one chain: join RUN and COPY steps, or start new stages from a base image.",
        "Export with mode=min, so that fewer results of the chain are marshaled.",
    ),
    scope=Scope.TOGETHER,
)
def deep_layer_chain(context: Context) -> Iterator[Found]:
    """Estimate how long marshaling takes."""
    steps = context.survey.marshal_steps
    seconds = cost.seconds(steps, SECONDS_PER_MARSHAL_STEP)
    severity = severity_of(seconds, context.limits)
    if severity is not None:
        yield Found(
            f"If its layers came from an imported cache, marshaling the next export takes {plural(steps, 'step')}"
            f"{taking(seconds)}. The longest chain has {plural(context.survey.longest_chain, 'layer')}, and the work "
            "grows with the fourth power of that.",
            severity=severity,
            measure=Measure("steps", steps, exact=False),
        )
