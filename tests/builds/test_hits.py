"""Which steps hit, compared with real daemons, and with a plain account of what a daemon does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.buildkit import Release
from cachedoctor.builds.build import Build, Input, Step, chain_digest, record_digest
from cachedoctor.builds.containers import load
from cachedoctor.builds.hits import Hit, Reason, State
from cachedoctor.builds.imports import imports
from cachedoctor.builds.outcome import hits
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.joining import with_joining
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import load as load_caches
from tests.builds.made import CONTEXT, build, cache, content, key, own, seen, source, step
from tests.support import FIXTURES, digest

CAPTURES = ("bundle-edit-v0.32.2", "service-edit-v0.21.1", "service-edit-v0.32.2")
OLD, LOSSY = Release(0, 21, 1), Release(0, 32, 2)


def outcome(
    built: Build, *configs: CacheConfig, before: Build | None = None, release: Release | None = None, **more: Any
) -> dict[int, Hit]:
    """What becomes of each step, by its index."""
    imported = imports(Survey(configs), release, **more)
    return {hit.step: hit for hit in hits(0, built, imported, before=before).steps}


def capture(name: str) -> tuple[Build, Build, CacheConfig, list[dict[str, Any]]]:
    folder = FIXTURES / "hits"
    (built,), (before,) = (load(str(folder / f"{name}.{kind}.json")) for kind in ("provenance", "before"))
    config = load_caches(str(folder / f"{name}.cache.json"))[0].config
    return built, before, config, json.loads((folder / f"{name}.expected.json").read_text())["steps"]


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("with_before", [True, False])
def test_no_step_of_a_real_build_is_decided_wrongly(name: str, with_before: bool) -> None:
    built, before, config, expected = capture(name)
    found = outcome(built, config, before=before if with_before else None)
    by_line = {location.line: hit for hit in found.values() for location in built.steps[hit.step].locations}
    decided = 0
    for want in expected:
        hit = by_line[want["line"]]
        if hit.state is not State.UNKNOWN:
            assert (hit.state is State.HIT) == want["cached"], want
            decided += 1
    assert decided / len(expected) >= 0.55


def test_reasons_in_a_real_build() -> None:
    built, before, config, _ = capture("bundle-edit-v0.32.2")
    found = {built.steps[hit.step].locations[0].line: hit for hit in outcome(built, config, before=before).values()}
    assert (found[8].reason, found[8].because) == (Reason.CHANGED, "command differs from the earlier build")
    assert (found[10].reason, found[10].because) == (
        Reason.CONTENT_UNKNOWN,
        "it depends on the content of /b from ho2-edit.Dockerfile:8",
    )
    assert (found[13].reason, found[13].because) == (Reason.INPUT_MISSED, "ho2-edit.Dockerfile:8 misses")
    assert found[1].reason is Reason.NO_RESULT
    assert found[7].reason is None


BASE = source("base:1")
RUN = step("RUN make", 2, own(0, "/"))
NEXT = step("RUN test", 3, own(1, "/"))
PLAIN = cache((key(BASE), ()), (key(RUN), [[(0, "/")]]), (key(NEXT), [[(1, "/")]]))


def test_all_hit() -> None:
    found = outcome(build(BASE, RUN, NEXT), PLAIN)
    assert [found[number].state for number in range(3)] == [State.UNKNOWN, State.HIT, State.HIT]
    assert "caches do not hold base images" in found[0].because


@pytest.mark.parametrize(
    ("results", "states"),
    [
        ([2], [State.HIT, State.HIT]),
        ([1], [State.HIT, State.MISS]),
        ([], [State.MISS, State.MISS]),
    ],
)
def test_records_without_results(results: list[int], states: list[State]) -> None:
    """As in a cache with mode=min: a step is only needed if one that runs needs it."""
    config = cache((key(BASE), ()), (key(RUN), [[(0, "/")]]), (key(NEXT), [[(1, "/")]]), results=results)
    found = outcome(build(BASE, RUN, NEXT), config)
    assert [found[1].state, found[2].state] == states
    for hit in (found[1], found[2]):
        assert hit.reason is (Reason.NO_RESULT if hit.state is State.MISS else None)


def test_results_whose_blobs_are_not_listed() -> None:
    found = outcome(build(BASE, RUN, NEXT), PLAIN, blobs=[frozenset({digest("layer 1")})])
    assert [found[1].state, found[2].state] == [State.HIT, State.MISS]


@pytest.mark.parametrize(
    ("changed", "reason", "because"),
    [
        (step("RUN make -j", 2, own(0, "/")), Reason.CHANGED, "command differs from the earlier build"),
        (step("RUN make", 2, own(0, "/"), op="v2"), Reason.CHANGED, "it differs from the earlier build"),
        (step("COPY a /a", 2, own(0)), Reason.CHANGED, "the earlier build did not have it"),
    ],
)
def test_changed_steps(changed: Step, reason: Reason, because: str) -> None:
    found = outcome(build(BASE, changed, NEXT), PLAIN, before=build(BASE, RUN, NEXT))
    assert found[1][1:] == (State.MISS, reason, because)
    assert found[2][1:] == (State.MISS, Reason.INPUT_MISSED, "Dockerfile:2 misses")
    assert outcome(build(BASE, changed, NEXT), PLAIN)[1].reason is Reason.NOT_IN_CACHE


def test_a_step_that_was_not_exported() -> None:
    other = step("RUN other", 4, own(2, "/"))
    found = outcome(build(BASE, RUN, NEXT, other), PLAIN, before=build(BASE, RUN, NEXT, other))
    assert found[3][1:] == (
        State.MISS,
        Reason.NOT_IN_CACHE,
        "the earlier build had it, but the cache has no record of it",
    )


def test_the_same_instruction_on_other_inputs() -> None:
    moved = step("RUN test", 3, own(0, "/"))
    found = outcome(build(BASE, RUN, moved), PLAIN)
    assert (found[2].state, found[2].reason) == (State.MISS, Reason.NOT_IN_CACHE)


def test_another_base_image() -> None:
    """Its layers may still be the same, if the cache has another root that may stand for them."""
    other = source("base:2")
    found = outcome(build(other, RUN), PLAIN, before=build(BASE, RUN, NEXT))
    assert found[0][1:] == (State.MISS, Reason.BASE_IMAGE, "base image differs from the earlier build")
    assert (found[1].state, found[1].reason) == (State.UNKNOWN, Reason.BASE_IMAGE)
    same_digest = cache((key(RUN), [[(1, "x")]]), (key(BASE), ()))
    found = outcome(build(other, RUN), same_digest)
    assert (found[1].state, found[1].reason) == (State.MISS, Reason.BASE_IMAGE)


COPY = step("COPY f /f", 3, own(0), content(1, "/f"))
COPIED = cache((key(BASE), ()), (seen("f"), ()), (key(COPY), [[(0, "")], [(1, "")]]))


def test_content_of_the_build_context() -> None:
    found = outcome(build(BASE, CONTEXT, COPY), COPIED)
    assert found[2][1:] == (
        State.UNKNOWN,
        Reason.CONTENT_UNKNOWN,
        "it depends on the content of /f in the build context",
    )


def test_a_build_that_was_recorded_with_the_layers_of_the_cache() -> None:
    from dataclasses import replace

    recorded = replace(COPY, results=frozenset({chain_digest([digest("layer 2")])}))
    assert outcome(build(BASE, CONTEXT, recorded), COPIED)[2].state is State.HIT
    other = replace(COPY, results=frozenset({chain_digest([digest("layer 1"), digest("layer 2")])}))
    assert outcome(build(BASE, CONTEXT, other), COPIED)[2].state is State.UNKNOWN


def test_steps_whose_digest_cannot_be_computed() -> None:
    from dataclasses import replace

    unknown = replace(RUN, digests=())
    found = outcome(
        build(BASE, unknown, NEXT), cache((key(BASE), ()), (digest("?"), [[(0, "/")]]), (key(NEXT), [[(1, "/")]]))
    )
    assert [found[1].state, found[2].state] == [State.UNKNOWN, State.UNKNOWN]


def two_leaves() -> tuple[Build, CacheConfig]:
    """Two targets that share a stage: v0.25 to v0.32 store one leaf, and may then lose a link to the other."""
    left, right, both = step("RUN a", 3, own(1, "/")), step("RUN b", 4, own(1, "/")), step("RUN c", 5, own(1, "/"))
    joined = step("RUN d", 6, own(3, "/"), own(4, "/"))
    config = cache(
        (key(BASE), ()),
        (key(RUN), [[(0, "/")]]),
        (key(left), [[(1, "/")]]),
        (key(right), [[(1, "/")]]),
        (key(both), [[(1, "/")]]),
        (key(joined), [[(3, "/")], [(4, "/")]]),
    )
    return build(BASE, RUN, left, right, both, joined), config


def test_links_that_an_importer_may_lose() -> None:
    built, config = two_leaves()
    lossless = (OLD, Release(0, 33))
    for release in lossless:
        assert {hit.state for hit in outcome(built, config, release=release).values() if hit.step} == {State.HIT}
    for either in (LOSSY, None):
        found = outcome(built, config, release=either)
        assert [found[number].state for number in (1, 2, 3)] == [State.HIT, State.HIT, State.UNKNOWN]
        assert found[3].reason is Reason.LOST_LINK
        assert found[3].because.startswith("BuildKit v0.25 to v0.32 may lose links")
    joined = outcome(built, with_joining(config, [2, 5]), release=LOSSY)
    assert {hit.state for hit in joined.values() if hit.step} == {State.HIT}


def test_several_caches() -> None:
    """Each is looked up by itself; some releases find less if they import several."""
    other = step("RUN other", 4, own(0, "/"))
    second = cache((key(BASE), ()), (key(other), [[(0, "/")]]))
    built = build(BASE, RUN, NEXT, other)
    found = outcome(built, PLAIN, second, release=OLD)
    assert [found[number].state for number in (1, 2, 3)] == [State.HIT] * 3
    found = outcome(built, PLAIN, second, release=LOSSY)
    assert {found[number][1:3] for number in (1, 2, 3)} == {(State.UNKNOWN, Reason.LOST_LINK)}
    assert "several caches" in found[1].because


def test_a_long_chain_of_unknown_steps() -> None:
    steps = [BASE, CONTEXT, COPY, *(step(f"RUN {line}", line, own(line - 2, "/")) for line in range(4, 3000))]
    records: list[Any] = [(key(BASE), ()), (seen("f"), ()), (key(COPY), [[(0, "")], [(1, "")]])]
    records += [(key(of_step), [[(number, "/")]]) for number, of_step in enumerate(steps[3:], 2)]
    found = outcome(build(*steps), cache(*records))
    assert found[len(steps) - 1][1:3] == (State.UNKNOWN, Reason.CONTENT_UNKNOWN)


class Daemon:
    """What a daemon does with a build and an imported cache, told plainly: which steps it runs."""

    def __init__(self, built: Build, config: CacheConfig, contents: dict[tuple[str, str], str]) -> None:
        self.steps, self.config, self.contents = built.steps, config, contents
        self.done: dict[int, bool] = {}
        """Whether each step that was needed has run."""
        self.by_links = self.keys({})

    def build(self) -> dict[int, bool]:
        used = {needed.step for of_step in self.steps for needed in of_step.inputs}
        for index in range(len(self.steps)):
            if index not in used:
                self.need(index)
        return self.done

    def need(self, index: int) -> None:
        if index in self.done:
            return
        of_step = self.steps[index]
        ran = not self.has_result(self.by_links[index])
        if ran:
            self.look_at_content(index)
            ran = not self.has_result(self.keys(self.contents)[index])
        self.done[index] = ran
        if ran:
            for needed in of_step.inputs:
                self.need(needed.step)

    def look_at_content(self, index: int) -> None:
        """Before it runs a step, the daemon looks at the content of its inputs, and of what they are made from."""
        for needed in self.steps[index].inputs:
            if needed.by_content:
                self.need(needed.step)
            elif not self.by_links[needed.step]:
                self.look_at_content(needed.step)

    def has_result(self, records: set[int]) -> bool:
        starts = self.config.result_start
        return any(starts[record] < starts[record + 1] for record in records)

    def keys(self, contents: dict[tuple[str, str], str]) -> list[set[int]]:
        """The records that each step finds if these contents are known."""
        found: list[set[int]] = []
        for of_step in self.steps:
            names = {record_digest(known, 0) for known in of_step.digests}
            found.append(
                {
                    record
                    for record, name in enumerate(self.config.digests)
                    if name in names and self.all_lead(record, of_step, found, contents)
                }
            )
        return found

    def all_lead(self, record: int, of_step: Step, found: list[set[int]], contents: dict[tuple[str, str], str]) -> bool:
        config = self.config
        slots = range(config.input_start[record], config.input_start[record + 1])
        return len(slots) == len(of_step.inputs) and all(
            any(
                (config.links[link] in found[needed.step] and config.selectors[link] == needed.selector)
                or self.is_content(link, needed, contents)
                for link in range(config.link_start[slot], config.link_start[slot + 1])
            )
            for slot, needed in zip(slots, of_step.inputs, strict=True)
        )

    def is_content(self, link: int, needed: Input, contents: dict[tuple[str, str], str]) -> bool:
        value = contents.get((self.steps[needed.step].id, needed.selector))
        target = self.config.digests[self.config.links[link]]
        return needed.by_content and value is not None and not self.config.selectors[link] and target == seen(value)


@st.composite
def builds_and_caches(draw: st.DrawFn) -> tuple[Build, CacheConfig, dict[tuple[str, str], str]]:
    """A build, a cache that an earlier build may have written, and the content that each step makes."""
    contents: dict[tuple[str, str], str] = {}
    before: dict[tuple[str, str], str] = {}
    steps: list[Step] = [BASE, CONTEXT]
    for number in range(draw(st.integers(1, 7))):
        sources = draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=2))
        inputs = [
            content(source, draw(st.sampled_from("pq"))) if source == 1 or draw(st.booleans()) else own(source, "/")
            for source in sources
        ]
        name = draw(st.sampled_from(["a", "b", f"RUN {number}"]))
        steps.append(step(f"RUN {number}", 10 + number, *inputs, op=f"{name}{len(inputs)}"))
    for of_step in steps:
        for path in ("p", "q"):
            place = of_step.id, digest(path)
            contents[place] = draw(st.sampled_from("xyz"))
            before[place] = draw(st.sampled_from("xyz")) if draw(st.booleans()) else contents[place]
    records: list[tuple[str, list[list[tuple[int, str]]]]] = [(key(BASE), []), *((seen(value), []) for value in "xyz")]
    number_of = {0: 0}
    for index, of_step in enumerate(steps):
        if draw(st.integers(0, 4)) and of_step.inputs:
            alternatives: list[list[tuple[int, str]]] = []
            for needed in of_step.inputs:
                linked = [(number_of[needed.step], needed.paths[0])] if needed.step in number_of else []
                value = before.get((steps[needed.step].id, needed.selector), "x")
                seen_before = [(1 + "xyz".index(value), "")] if needed.by_content else []
                alternatives.append([*linked, *seen_before])
            if all(alternatives):
                is_another = not draw(st.integers(0, 5))
                number_of[index] = len(records)
                records.append((digest("another") if is_another else key(of_step), alternatives))
    results = [number for number in range(4, len(records)) if draw(st.integers(0, 3))]
    return build(*steps), cache(*records, results=results), contents


@given(builds_and_caches())
def test_no_step_is_decided_wrongly(case: tuple[Build, CacheConfig, dict[tuple[str, str], str]]) -> None:
    built, config, contents = case
    ran = Daemon(built, config, contents).build()
    for release in (OLD, None):
        for hit in outcome(built, config, release=release).values():
            if hit.state is not State.UNKNOWN and built.steps[hit.step].kind != "source":
                assert (hit.state is State.MISS) == ran.get(hit.step, False)
