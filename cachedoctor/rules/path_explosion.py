"""The loop check of the next export walks very many paths.

**What it means.** The exporter of these releases looks for loops by walking *every path* from every root, and makes
one check at each step. Paths double wherever two of them part and meet again. A few dozen such diamonds in a row
outlast any build. See [Why is my export stuck?](why-is-my-export-stuck.md)

**How it is found.** Records are merged the way that exporter merges them, in one order or in several. The paths of
each outcome are counted, not walked, and multiplied by 175 ns. [The cost page](cost.md) says when the number is
exact. The finding names up to ten hotspots: the records that most paths pass through, most first. With the record of
the build ([`--build`](which-line.md)), it names the lines of the Dockerfile that double the paths: copies between
stages, and how many checks would be left without each.

**Severity.** Silent below 1 second (about 5.7 million checks) in the most expensive order, then a warning. Error
above 60 seconds (about 343 million checks), if the order in the middle takes that long too; if only the most
expensive one does, it stays a warning. With `check --max-calls N`, more than N checks are an error in the same way,
however fast they are.

**Versions.** v0.9 to v0.24. With `--buildkit` outside that range the rule is silent.

**What you see.** The step `preparing build cache for export` hangs, from seconds to hours, while one core of
buildkitd is at 100%. In a CPU profile, `(*normalizeState).checkLoops` has nine tenths of the time or more. Sometimes
the same build finishes quickly.

**What to do.** If it hangs now: canceling the build does not stop the loop check. Restart the daemon with
`docker buildx stop BUILDER`; the next build starts it again.

1. Upgrade the builder to v0.33 or later. v0.25 to v0.32 do not walk paths either, but can
   [drop links](my-cache-is-never-used.md#lost-links) when they import a cache, so that steps miss it; there, import
   only a cache that [`cachedoctor repair`](repair.md) wrote.

    ```
    docker buildx create --name builder33 --driver docker-container \\
      --driver-opt image=moby/buildkit:v0.33.0 --use
    ```

    If buildkitd runs inside Docker Engine (driver `docker`), its release comes with the engine, and no engine up to
    29.7.2 has v0.33: create a builder as above instead. Or use Docker Engine 28.5.1 or later with a repaired cache.
    [Which release to use](why-is-my-export-stuck.md#which-release-to-use) has a table.
2. Have fewer diamonds in the Dockerfile. The hotspots show where, and with `--build`, the line: look for stages reached
   by more than one route, and copy from the stage where the content was made.
3. If the cache grew over many builds, [start over](#a-fresh-start).
4. Export less often, for example only on the main branch. Keep `--cache-from` everywhere.

[Report it upstream](report-upstream.md) without showing what you build.

**What does not help.**

- Ctrl-C or a shorter timeout in CI: the daemon goes on.
- More cores or memory: the walk runs on one core, and remembers only the path it is on.
- Pruning the *imported* cache, if the Dockerfile itself has the diamonds: the exporter recreates both alternatives of
  every step. It does help if the cache grew over many imports.
- `mode=min`: it drops layers, not records, and the loop check comes first ([why](#what-modemin-does)). It only saves
  compressing and pushing.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import LOOP_CHECK, SECONDS_PER_CALL, UPGRADE, UPGRADE_ENGINE
from cachedoctor.builds.build import Location
from cachedoctor.builds.known import line
from cachedoctor.graph import cost
from cachedoctor.graph.paths import Hotspot
from cachedoctor.graph.survey import Survey
from cachedoctor.numbers import count, count_range, plural, taking
from cachedoctor.rules._shared import START_OVER, severity_of
from cachedoctor.rules.rule import Context, Found, Measure, Scope, Severity, rule


@rule(
    "CD201",
    "path-explosion",
    Severity.WARNING,
    affects=str(LOOP_CHECK),
    help=(
        UPGRADE,
        UPGRADE_ENGINE,
        "Have fewer diamonds in the Dockerfile: each stage reached by more than one route doubles the paths. The "
        "hotspots show where.",
        "If the cache grew over many imports, repair it. This does not help if the Dockerfile itself has the diamonds: "
        "the exporter recreates both alternatives of every step.\n"
        "cachedoctor repair SOURCE -o DEST --max-calls auto",
        START_OVER,
        "mode=min does not help: it drops layers, not records. Export less often.",
        "If an export is stuck now: canceling the build does not stop the loop check. Restart buildkitd.",
    ),
    scope=Scope.TOGETHER,
    table="hotspots",
)
def path_explosion(context: Context) -> Iterator[Found]:
    """Count the checks of the exporter that walks every path."""
    loop_check = context.survey.loop_check
    most = loop_check.orders[-1].calls
    if not LOOP_CHECK.concerns(context.buildkit) or _severity(most, context) is None:
        return
    typical = loop_check.middle.calls
    limit = context.limits.max_calls
    excess = f"The limit is {plural(limit, 'check')}. " if limit is not None and typical > limit else ""
    digests = context.survey.graph.digests
    records = [loop_check.records[hotspot.item] for hotspot in _by_fan_out(context.survey)]
    where = f"{_hotspot(context)}{_doubling(context)}"
    yield Found(
        f"The next export on BuildKit {LOOP_CHECK} makes {_checks(loop_check)}. {excess}{where}".rstrip(),
        [digests[loop_check.records[hotspot.item]] for hotspot in context.survey.hotspots],
        severity=Severity.ERROR if _severity(typical, context) is Severity.ERROR else Severity.WARNING,
        measure=Measure("calls", typical, loop_check.exact),
        lines=[*_doubled(context), *context.known.lines(context.survey, records)],
    )


def _severity(calls: int, context: Context) -> Severity | None:
    limit = context.limits.max_calls
    if limit is not None and calls > limit:
        return Severity.ERROR
    return severity_of(cost.seconds(calls, SECONDS_PER_CALL[1]), context.limits)


def _checks(loop_check: cost.LoopCheckCost) -> str:
    fewest, typical, most = loop_check.orders[0].calls, loop_check.middle.calls, loop_check.orders[-1].calls
    time = taking(cost.seconds(typical, SECONDS_PER_CALL[1]))
    if count(fewest) == count(most):
        about = "" if loop_check.exact else "about "
        return f"{about}{plural(typical, 'check')}{time}"
    return (
        f"{count_range(fewest, most)} checks, depending on the order the exporter uses; usually {count(typical)}{time}"
    )


def _hotspot(context: Context) -> str:
    """What the first record is that most paths pass through, preferring one where they part."""
    survey = context.survey
    if not survey.hotspots:
        return ""
    hotspot = _by_fan_out(survey)[0]
    share = 100 * hotspot.calls // max(1, survey.loop_check.middle.calls)
    name = context.known.call(survey, survey.loop_check.records[hotspot.item])
    return f"{share}% of them pass through {name}, which has {plural(hotspot.fan_out, 'outgoing link')}."


def _doubled(context: Context) -> list[Location]:
    """The lines that multiply the paths, the worst first."""
    known = context.known
    return [location for doubling in known.doublings for location in known.step(doubling.place).locations[:1]]


def _doubling(context: Context) -> str:
    """Which line multiplies the paths most, and what would be left without it."""
    lines = _doubled(context)
    if not lines:
        return ""
    left = plural(context.known.doublings[0].calls, "check")
    return f" Paths double at {line(lines[0])}: without it, {left} would be left."


def _by_fan_out(survey: Survey) -> list[Hotspot]:
    """The hotspots, those where paths part before the others; otherwise most calls first."""
    return sorted(survey.hotspots, key=lambda hotspot: hotspot.fan_out <= 1)
