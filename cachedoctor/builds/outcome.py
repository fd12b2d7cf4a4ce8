"""Finds out which steps of a build will hit in a cache, and why the others miss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from cachedoctor.buildkit import LOSES_LINKS
from cachedoctor.builds.build import Build, Input, Step
from cachedoctor.builds.changes import counterparts, differing, listed
from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.builds.imports import Importable, Imports
from cachedoctor.builds.lookup import Certainty, Found, Lookup, Wild, names_of, needed_outputs, wild_of
from cachedoctor.numbers import listing

_MOST_PATHS = 3


def hits(number: int, build: Build, imported: Sequence[Imports], *, before: Build | None = None) -> Hits:
    """What will become of the steps of a build that imports these caches and has nothing else.

    A step hits if its inputs lead to a record with a result (v0.8 to v0.32: `solver.(*edge)`), or if no step that runs
    needs it. It is unknown if that depends on content that nobody has seen yet, or on links that an importer may lose,
    or on the release. If the build was recorded with the very layers that the cache has for a step, then it has hit.
    `number` is that of the build, `imported` is from `imports`, and `before` is the build that wrote the caches.
    """
    earlier = counterparts(build, before) if before else None
    ways = [_one_way(build, of_releases, earlier) for of_releases in imported]
    steps = [
        Hit(index, *_together([way[index] for way in ways])) for index, step in enumerate(build.steps) if step.locations
    ]
    steps.sort(key=lambda hit: (build.steps[hit.step].locations[0][:2], hit.step))
    return Hits(number, tuple(steps))


_Fate = tuple[State, Reason | None, str]
"""What becomes of a step, the reason, and in words."""


def _one_way(build: Build, imported: Imports, earlier: Sequence[Step | None] | None) -> list[_Fate]:
    """What becomes of each step with some releases."""
    outcome = _Outcome(build, imported.caches, lossy=imported.lossy)
    lossless = _Outcome(build, imported.caches, lossy=False) if imported.lossy else outcome
    whys = _Words(build, imported.caches, outcome, lossless, earlier).whys
    return [(state, *why) for state, why in zip(outcome.states, whys, strict=True)]


def _together(fates: Sequence[_Fate]) -> _Fate:
    """What becomes of a step with any release. If that differs, it is unknown, for the reason that it may not hit."""
    state, reason, because = next((fate for fate in fates if fate[0] is not State.HIT), fates[0])
    return (state if all(fate[0] is state for fate in fates) else State.UNKNOWN), reason, because


class _Verdict(Enum):
    """What the records say of one output of a step."""

    HIT = "a record with a result is found"
    PERHAPS = "one may be found"
    EMPTY = "a record is found, but none with a result"
    PERHAPS_EMPTY = "a record may be found, but none with a result"
    NONE = "no record can be found"


class _Outcome:
    """The records that are found for each step in each cache, and what follows for the step."""

    def __init__(self, build: Build, caches: Sequence[Importable], *, lossy: bool) -> None:
        self._build = build
        self._outputs = needed_outputs(build)
        self._several = lossy and len(caches) > 1
        claimed = {
            name
            for step, outputs in zip(build.steps, self._outputs, strict=True)
            for output in outputs
            for name in names_of(step, output)
        }
        self._recorded: set[int] = set()
        """Steps that were recorded with the layers of the cache."""
        self.lookups = [Lookup(cache.graph, claimed, cache.unsafe if lossy else ()) for cache in caches]
        self.found = [self._look_up(lookup, cache) for lookup, cache in zip(self.lookups, caches, strict=True)]
        """For each cache, what is found for each output of each step."""
        self.verdicts = [
            [self._verdict(index, output, caches) for output in outputs] for index, outputs in enumerate(self._outputs)
        ]
        self.states = self._states()
        """What will become of each step."""

    def _look_up(self, lookup: Lookup, cache: Importable) -> list[dict[int, Found]]:
        found: list[dict[int, Found]] = []
        for index, (step, outputs) in enumerate(zip(self._build.steps, self._outputs, strict=True)):
            inputs = [found[needed.step][needed.output] for needed in step.inputs]
            of_step = {output: lookup.find(step, output, inputs, _unseen) for output in outputs}
            if self._several:
                of_step = {output: _limited(of_output) for output, of_output in of_step.items()}
            recorded = [record for record in of_step[0].records if not step.results.isdisjoint(cache.results[record])]
            if any(of_step[0].records[record] < Certainty.SURE for record in recorded):
                sure = dict.fromkeys(recorded, Certainty.SURE)
                of_step[0] = of_step[0]._replace(records={**of_step[0].records, **sure})
                self._recorded.add(index)
            found.append(of_step)
        return found

    def _verdict(self, index: int, output: int, caches: Sequence[Importable]) -> _Verdict:
        anything = Certainty.NO
        with_result = Certainty.NO
        for found, cache in zip(self.found, caches, strict=True):
            if found[index][output].wild in (Wild.ALIKE, Wild.ANY):
                anything = with_result = max(with_result, Certainty.POSSIBLE)
            for record, certainty in found[index][output].records.items():
                anything = max(anything, certainty)
                if cache.results[record]:
                    with_result = max(with_result, certainty)
        if with_result:
            return _Verdict.HIT if with_result is Certainty.SURE else _Verdict.PERHAPS
        if anything:
            return _Verdict.EMPTY if anything is Certainty.SURE else _Verdict.PERHAPS_EMPTY
        return _Verdict.NONE

    def _states(self) -> list[State]:
        """What becomes of each step, from the last one to the first: a step that runs needs the results of its inputs.

        BuildKit shows a step as `CACHED` that nothing needs (v0.8 to v0.32: `solver.(*vertexStream).append`).
        """
        steps = self._build.steps
        states = [State.HIT] * len(steps)
        needed = [dict.fromkeys(outputs, State.HIT) for outputs in self._outputs]
        used = {needed.step for step in steps for needed in step.inputs}
        for index in reversed(range(len(steps))):
            if index not in used:
                needed[index][0] = State.MISS
            of_outputs = [
                _state(verdict, needed[index][output])
                for verdict, output in zip(self.verdicts[index], self._outputs[index], strict=True)
            ]
            states[index] = _worst(of_outputs)
            # What was found by its content needed a result to look at.
            demand = _worst([states[index], State.UNKNOWN]) if index in self._recorded else states[index]
            for source in steps[index].inputs:
                needed[source.step][source.output] = _worst([needed[source.step][source.output], demand])
            if steps[index].kind == "source" and self.verdicts[index][0] is not _Verdict.NONE:
                # BuildKit asks for the digest of a source in every build, and never shows that as cached.
                states[index] = State.UNKNOWN
        return states


def _unseen(needed: Input, found: Found, others: bool) -> Certainty:
    """Nobody has seen the content that an input will have."""
    return Certainty.POSSIBLE


def _limited(found: Found) -> Found:
    """The same, but none of it sure."""
    return found._replace(records={record: min(Certainty.LIKELY, sure) for record, sure in found.records.items()})


def _state(verdict: _Verdict, needed: State) -> State:
    """What becomes of an output of a step. `needed` is whether its result is: missed means that a step runs with it."""
    if verdict is _Verdict.HIT:
        return State.HIT
    if verdict is _Verdict.NONE:
        return State.MISS
    if verdict is _Verdict.PERHAPS:
        return State.UNKNOWN
    if needed is State.MISS or verdict is _Verdict.EMPTY:
        return needed
    return State.UNKNOWN


def _worst(states: Iterable[State]) -> State:
    return max(states, key=(State.HIT, State.UNKNOWN, State.MISS).index)


class _Words:
    """Says why steps do not hit."""

    def __init__(
        self,
        build: Build,
        caches: Sequence[Importable],
        outcome: _Outcome,
        lossless: _Outcome,
        earlier: Sequence[Step | None] | None,
    ) -> None:
        self._build = build
        self._caches = caches
        self._outcome = outcome
        self._lossless = lossless
        self._earlier = earlier
        self.whys: list[tuple[Reason | None, str]] = []
        """For each step, the reason why it does not hit for certain, and in words."""
        for index, state in enumerate(outcome.states):
            self.whys.append(self._why(index, state))

    def _why(self, index: int, state: State) -> tuple[Reason | None, str]:
        verdict = _decisive(self._outcome.verdicts[index], state)
        if state is State.HIT:
            return None, _FOUND if verdict is _Verdict.HIT else "no step that runs needs its result"
        if state is State.UNKNOWN and self._lossless.states[index] is State.HIT:
            return Reason.LOST_LINK, _LOST if len(self._caches) == 1 else _SEVERAL
        if self._build.steps[index].kind == "source":
            return self._source(index, state)
        if verdict in (_Verdict.EMPTY, _Verdict.PERHAPS_EMPTY):
            needed = "a step that runs needs it" if state is State.MISS else "it runs if a step that runs needs it"
            return Reason.NO_RESULT, f"the cache has its record, but without layers, and {needed}"
        return self._missed(index) if state is State.MISS else self._unknown(index)

    def _source(self, index: int, state: State) -> tuple[Reason, str]:
        if state is State.UNKNOWN:
            return Reason.NO_RESULT, "caches do not hold base images; it is pulled if a step that runs needs it"
        names = self._differing(index)
        changed = f"{listed(names)} from the earlier build" if names else "the cache does not have this version of it"
        return Reason.BASE_IMAGE, changed

    def _missed(self, index: int) -> tuple[Reason, str]:
        step = self._build.steps[index]
        shape = len(step.inputs)
        digests = [name for output in self._outcome.found[0][index] for name in names_of(step, output)]
        if not any(lookup.by_shape.get((name, shape)) for lookup in self._outcome.lookups for name in digests):
            return self._changed(index)
        for needed in step.inputs:
            if not any(found[needed.step][needed.output].records for found in self._outcome.found):
                source = self._build.steps[needed.step]
                if source.kind == "source" and not wild_of(source).local:
                    return Reason.BASE_IMAGE, f"the cache does not have {self._line(needed.step)} in this version"
                if self._outcome.states[needed.step] is State.MISS:
                    return Reason.INPUT_MISSED, f"{self._line(needed.step)} misses"
        return Reason.NOT_IN_CACHE, "the cache has this instruction, but not with these inputs"

    def _changed(self, index: int) -> tuple[Reason, str]:
        if self._earlier is None:
            return Reason.NOT_IN_CACHE, "the cache has no record of it: it is new, or has changed"
        step, earlier = self._build.steps[index], self._earlier[index]
        if earlier is None:
            return Reason.CHANGED, "the earlier build did not have it"
        if not set(earlier.digests).isdisjoint(step.digests):
            return Reason.NOT_IN_CACHE, "the earlier build had it, but the cache has no record of it"
        names = differing(step, earlier)
        return Reason.CHANGED, f"{listed(names) if names else 'it differs'} from the earlier build"

    def _unknown(self, index: int) -> tuple[Reason, str]:
        """What decides: the first input that is not sure to lead to a record."""
        step = self._build.steps[index]
        for needed in step.inputs:
            found = [of_cache[needed.step][needed.output] for of_cache in self._outcome.found]
            if any(certainty is Certainty.SURE for one in found for certainty in one.records.values()):
                continue
            source = self._build.steps[needed.step]
            if needed.by_content:
                return Reason.CONTENT_UNKNOWN, f"it depends on the content of {self._content(needed)}"
            if source.kind == "source":
                return Reason.BASE_IMAGE, f"it hits if the layers of {self._line(needed.step)} are those in the cache"
            if any(one.records for one in found):
                return self.whys[needed.step][0] or Reason.CONTENT_UNKNOWN, f"it depends on {self._line(needed.step)}"
        return Reason.CONTENT_UNKNOWN, "its key cannot be computed from the record of the build"

    def _content(self, needed: Input) -> str:
        paths = [*needed.paths[:_MOST_PATHS]]
        if len(needed.paths) > _MOST_PATHS:
            paths.append(f"{len(needed.paths) - _MOST_PATHS} more")
        place = f"{'in' if self._local(needed) else 'from'} {self._line(needed.step)}"
        return f"{listing(paths) if paths else 'files'} {place}"

    def _local(self, needed: Input) -> bool:
        return wild_of(self._build.steps[needed.step]).local

    def _differing(self, index: int) -> list[str]:
        earlier = self._earlier[index] if self._earlier else None
        return differing(self._build.steps[index], earlier) if earlier else []

    def _line(self, index: int) -> str:
        step = self._build.steps[index]
        if step.locations:
            return f"{step.locations[0].file}:{step.locations[0].line}"
        return f"the {step.label}" if wild_of(step).local else f"a {step.label}"


def _decisive(verdicts: Sequence[_Verdict], state: State) -> _Verdict:
    """The verdict on the output that decides what becomes of its step."""
    return next((verdict for verdict in verdicts if _state(verdict, state) is state), verdicts[0])


_FOUND = "the cache has its record, with layers"
_LOST = f"BuildKit {LOSES_LINKS} may lose links of a cache with several leaves, and does not find it then"
_SEVERAL = f"BuildKit {LOSES_LINKS} may not find it if it imports several caches at once"
