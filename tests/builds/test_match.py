"""The names of records: of real caches, of caches that tests write, and compared with a plain restatement."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.builds.build import Build, Input, Step, record_digest
from cachedoctor.builds.containers import load
from cachedoctor.builds.imports import imports
from cachedoctor.builds.lookup import MOST_ALIKE
from cachedoctor.builds.match import images, match
from cachedoctor.builds.names import Name
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.joining import with_joining
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import load as load_caches
from tests.builds.made import CONTEXT, build, cache, content, key, own, seen, source, step
from tests.support import FIXTURES, decoded, digest

RELEASES = ("v0.21.1", "v0.32.2")
T = [(f"builds/t-cache-{cache}", f"builds/t-history-predicate-{of}.json") for cache in RELEASES for of in RELEASES]
BUNDLE = [
    (f"builds/bundle-{cache}.cache.json", f"builds/bundle-{of}.provenance.json")
    for cache in RELEASES
    for of in RELEASES
]
MANIFESTS = [
    (f"manifests/{name}.json", f"builds/captures/{name}.json")
    for name in ("service", "two-stages", "diamond-8", "tag-a", "tag-b")
]
MEDIA = "builds/media-v0.32.2.cache.json", "builds/media-v0.32.2.provenance.json"
HITS = [
    (f"hits/{name}.cache.json", f"hits/{name}.provenance.json")
    for name in ("bundle-edit-v0.32.2", "service-edit-v0.21.1", "service-edit-v0.32.2")
]


def config_of(path: str) -> CacheConfig:
    return load_caches(str(FIXTURES / path))[0].config


def names_of(cache_path: str, *records: str) -> tuple[list[Build], CacheConfig, list[Name | None]]:
    builds = [build for record in records for build in load(str(FIXTURES / record))]
    config = config_of(cache_path)
    (names,) = match(builds, [config])
    return builds, config, names


def with_inputs(config: CacheConfig) -> list[int]:
    return [
        record for record in range(len(config.digests)) if config.input_start[record] < config.input_start[record + 1]
    ]


@pytest.mark.parametrize(("cache_path", "record"), [*T, *BUNDLE, *MANIFESTS, MEDIA])
def test_every_record_with_inputs_is_named(cache_path: str, record: str) -> None:
    _, config, names = names_of(cache_path, record)
    for index in with_inputs(config):
        name = names[index]
        assert name is not None
        assert name.sure
        assert 1 <= len(name.places) <= 3


@pytest.mark.parametrize(("cache_path", "record"), HITS)
def test_names_agree_with_layers(cache_path: str, record: str) -> None:
    """Where the record of a build has the layers of a step, they are those of the record that has its name."""
    builds, config, names = names_of(cache_path, record)
    results = imports(Survey([config]))[0].caches[0].results
    by_layers = {result: number for number, of_step in enumerate(builds[0].steps) for result in of_step.results}
    compared = 0
    for index in with_inputs(config):
        for result in results[index] & by_layers.keys():
            name = names[index]
            assert name is not None
            assert by_layers[result] in [place.step for place in name.places]
            compared += 1
    assert compared == 3


def test_lines_and_words() -> None:
    _, config, names = names_of("hits/bundle-edit-v0.32.2.cache.json", "hits/bundle-edit-v0.32.2.before.json")
    labels = {index: name.label for index, name in enumerate(names) if name}
    lines = {name.locations[0].line for index in with_inputs(config) if (name := names[index])}
    assert lines == {2, 5, 7, 8, 10, 11, 13, 14, 16, 17, 18, 20, 21}
    assert labels[0] == "ho2.Dockerfile:13 COPY --from=c /from-b /x/"
    assert labels[1] == "content of /x for ho2.Dockerfile:16 COPY --from=d /x /x"
    assert labels[2] == "layers of ho2.Dockerfile:1 FROM 127.0.0.1:5000/base:1 AS common"
    assert labels[13] == "ho2.Dockerfile:1 FROM 127.0.0.1:5000/base:1 AS common"


def test_adversarial_copies_are_named_but_not_sure() -> None:
    """Stages that copy the same files back and forth: only what a plain look-up finds is sure."""
    builds, config, names = names_of("manifests/shared-copies-t1.json", "builds/captures/shared-copies-t1.json")
    plain = Plain(builds, config)
    named = [index for index in with_inputs(config) if names[index]]
    sure = [index for index in named if (name := names[index]) and name.sure]
    assert len(named) == 75
    assert {1, 39, 76, 78} <= set(sure)
    for index in sure:
        assert max(plain.certainty(index).values()) >= 2


def test_several_builds_and_caches() -> None:
    builds = [load(str(FIXTURES / f"builds/captures/{name}.json"))[0] for name in ("tag-a", "tag-b")]
    configs = [config_of(f"manifests/{name}.json") for name in ("tag-a", "tag-b")]
    for number, (config, names) in enumerate(zip(configs, match(builds, configs), strict=True)):
        for index in with_inputs(config):
            name = names[index]
            assert name is not None
            assert name.sure
            assert number in [place.build for place in name.places]


BASE = source("base:1")
RUN = step("RUN make", 2, own(0, "/"))
COPY = step("COPY . /src", 3, own(1), content(2, "/"))


def test_content_of_the_build_context() -> None:
    config = cache((key(BASE), ()), (key(RUN), [[(0, "/")]]), (seen("x"), ()), (key(COPY), [[(1, "")], [(2, "")]]))
    (names,) = match([build(BASE, RUN, CONTEXT, COPY)], [config])
    assert [name and name.label for name in names] == [
        "Dockerfile:1 FROM base:1",
        "Dockerfile:2 RUN make",
        "content of / in the build context for Dockerfile:3 COPY . /src",
        "Dockerfile:3 COPY . /src",
    ]
    assert all(name and name.sure for name in names)


def test_another_base_image_is_not_sure() -> None:
    config = cache((digest("manifest of base:2"), ()), (key(RUN), [[(0, "/")]]))
    (names,) = match([build(BASE, RUN)], [config])
    assert [(name.label, name.sure) for name in names if name] == [
        ("layers of Dockerfile:1 FROM base:1", False),
        ("Dockerfile:2 RUN make", False),
    ]


def test_other_records_have_no_name() -> None:
    config = cache((key(BASE), ()), (digest("RUN of another build"), [[(0, "/")]]), (digest("unused"), ()))
    (names,) = match([build(BASE, RUN)], [config])
    assert [name and name.label for name in names] == ["Dockerfile:1 FROM base:1", None, None]
    assert match([], [config]) == [[None] * 3]


def test_the_same_instruction_elsewhere() -> None:
    """Inputs that agree with no step leave the likeliest instruction, with all its lines."""
    first, second = (
        step("COPY --from=a /f /f", 4, own(0), content(1, "/f")),
        step("COPY --from=a /f /f", 8, own(1), content(1, "/f")),
    )
    config = cache((digest("unknown"), [[(1, "")]]), (digest("root"), ()), (key(first), [[(0, "x")], [(0, "/f")]]))
    (names,) = match([build(BASE, RUN, first, second)], [config])
    name = names[2]
    assert name is not None
    assert not name.sure
    assert [location.line for location in name.locations] == [4, 8]


def test_joining_records_have_no_name() -> None:
    config = cache((key(BASE), ()), (key(RUN), [[(0, "/")]]), (key(step("RUN b", 5, own(0, "/"))), [[(0, "/")]]))
    joined = with_joining(config, [1, 2])
    (names,) = match([build(BASE, RUN)], [joined])
    assert [bool(name) for name in names] == [True, True, False, False]


def chain_root(*diff_ids: str) -> str:
    """The digest of the root of an image with these layers."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = f"sha256:{sha256(f'{chain} {diff_id}'.encode()).hexdigest()}"
    return record_digest(f"sha256:{sha256(f'buildkit.source.v0:{chain}'.encode()).hexdigest()}", 0)


def layered(*, annotated: bool) -> CacheConfig:
    """A cache that knows its base image by its two layers."""
    layers: list[dict[str, Any]] = [{"blob": digest(f"blob {n}"), "parent": n - 1} for n in range(3)]
    for number, layer in enumerate(layers if annotated else ()):
        layer["annotations"] = {"diffID": digest(f"diff {number}")}
    root = chain_root(digest("diff 0"), digest("diff 1"))
    result = {"layer": 2, "createdAt": "2026-11-24T08:14:45.5Z"}
    run = {"digest": key(RUN), "layers": [result], "inputs": [[{"link": 0, "selector": digest("/")}]]}
    return decoded({"layers": layers, "records": [{"digest": root}, run]})


@pytest.mark.parametrize("annotated", [True, False])
def test_base_images_by_their_layers(annotated: bool) -> None:
    """Without any build, from annotations or from what the caller knows of the blobs."""
    config = layered(annotated=annotated)
    known = {} if annotated else {digest(f"blob {number}"): digest(f"diff {number}") for number in range(3)}
    assert images(config, known)[config.digests[0]] == 2
    (names,) = match([], [config], [known])
    assert [name and (name.label, name.sure) for name in names] == [("base image of 2 layers", True), None]
    (names,) = match([build(BASE, RUN)], [config], [known])
    assert names[0]
    assert names[0].label == "layers of Dockerfile:1 FROM base:1"


def test_many_alike() -> None:
    """More steps with the same digest than are looked at one by one: those with own inputs are told apart."""
    count = MOST_ALIKE + 20
    runs = [step(f"RUN {number}", 2 + number, own(0, "/")) for number in range(count)]
    copies = [step("COPY --link --from=x /f /f", 1000 + number, content(1 + number, "/f")) for number in range(count)]
    records: list[tuple[str, list[list[tuple[int, str]]]]] = [(key(BASE), []), (seen("f"), [])]
    records += [(key(run), [[(0, "/")]]) for run in runs]
    records += [(key(copies[0]), [[(2 + number, "/f"), (1, "")]]) for number in range(count)]
    (names,) = match([build(BASE, *runs, *copies)], [cache(*records)])
    lines = [name.locations[0].line for name in names[2 + count :] if name and name.sure]
    assert lines == [1000 + number for number in range(count)]


class Plain:
    """The look-up told plainly: each record against each step."""

    def __init__(self, builds: Sequence[Build], config: CacheConfig) -> None:
        self.config = config
        self.steps = [(number, index) for number, build in enumerate(builds) for index in range(len(build.steps))]
        self.builds = builds
        self.claimed = {record_digest(d, 0) for build in builds for of_step in build.steps for d in of_step.digests}
        self.found: dict[tuple[int, int], dict[int, int]] = {}
        for number, index in self.steps:
            of_step = {record: c for record in range(len(config.digests)) if (c := self.matches(record, number, index))}
            linked = {record: certainty for record, certainty in of_step.items() if certainty >= 2}
            self.found[number, index] = linked or of_step

    def certainty(self, record: int) -> dict[tuple[int, int], int]:
        """How sure each step is that finds a record: 3 if it is sure, 2 if its own inputs lead there, 1 by content."""
        return {place: of_step[record] for place, of_step in self.found.items() if record in of_step}

    def inputs(self, record: int) -> list[list[tuple[int, str]]]:
        config = self.config
        slots = range(config.input_start[record], config.input_start[record + 1])
        return [
            list(zip(config.links[low:high], config.selectors[low:high], strict=True))
            for low, high in ((config.link_start[slot], config.link_start[slot + 1]) for slot in slots)
        ]

    def is_content(self, record: int) -> bool:
        return not self.inputs(record) and self.config.digests[record] not in self.claimed

    def matches(self, record: int, number: int, index: int) -> int:
        of_step, inputs = self.builds[number].steps[index], self.inputs(record)
        if self.config.digests[record] not in {record_digest(d, 0) for d in of_step.digests}:
            return 0
        if len(inputs) != len(of_step.inputs):
            return 0
        return min((self.leads(a, n, number, of_step) for a, n in zip(inputs, of_step.inputs, strict=True)), default=3)

    def leads(self, alternatives: list[tuple[int, str]], needed: Input, number: int, of_step: Step) -> int:
        maker = self.builds[number].steps[needed.step]
        local = maker.kind == "source" and not maker.digests and not maker.facts
        others = any(selector or not self.is_content(link) for link, selector in alternatives)
        best = 0
        for link, selector in alternatives:
            found = self.found[number, needed.step].get(link, 0)
            if selector == needed.selector:
                if found:
                    best = max(best, found, 2)
                elif self.is_content(link) and maker.kind == "source" and not local:
                    best = max(best, 1)
            if needed.by_content and not selector and self.is_content(link):
                alone = self.only(of_step) or not others
                best = max(best, 3 if local and alone else 1)
        return best

    def only(self, of_step: Step) -> bool:
        same = [s for build in self.builds for s in build.steps if set(s.digests) & set(of_step.digests)]
        return len(same) == 1


@st.composite
def builds_and_caches(draw: st.DrawFn) -> tuple[Build, CacheConfig]:
    """A small build in which many steps have the same digest, and a cache with many records that may be of it."""
    steps: list[Step] = [BASE, CONTEXT]
    for number in range(draw(st.integers(1, 6))):
        earlier = st.integers(0, len(steps) - 1)
        inputs = [
            content(source, draw(st.sampled_from("pq")))
            if draw(st.booleans())
            else own(source, draw(st.sampled_from(["", "p"])))
            for source in draw(st.lists(earlier, min_size=1, max_size=2))
        ]
        steps.append(step(f"COPY {number}", 10 + number, *inputs, op=f"{draw(st.sampled_from('ab'))}{len(inputs)}"))
    roots = [key(BASE), seen("1"), seen("2")]
    records: list[tuple[str, list[list[tuple[int, str]]]]] = [(root, []) for root in roots]
    for _ in range(draw(st.integers(1, 8))):
        links = st.tuples(st.integers(0, len(records) - 1), st.sampled_from(["", "p", "q"]))
        inputs_of = draw(st.lists(st.lists(links, min_size=1, max_size=3, unique=True), min_size=1, max_size=2))
        records.append((record_digest(digest(f"{draw(st.sampled_from('ab'))}{len(inputs_of)}"), 0), inputs_of))
    return build(*steps), cache(*records)


@given(builds_and_caches())
def test_against_a_plain_look_up(case: tuple[Build, CacheConfig]) -> None:
    """Records that a step finds have exactly the steps that find them most surely; only those are sure."""
    build, config = case
    (names,) = match([build], [config])
    plain = Plain([build], config)
    for record in with_inputs(config):
        name, found = names[record], plain.certainty(record)
        best = max(found.values(), default=0)
        assert (name is not None and name.sure) == (best >= 2)
        if best:
            assert name is not None
            assert [place.step for place in name.places] == [index for (_, index), c in found.items() if c == best]
