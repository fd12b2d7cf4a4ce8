"""What is left of the loop check without a copy between stages, compared with a plain count."""

from __future__ import annotations

import pytest

from cachedoctor.builds.build import Build
from cachedoctor.builds.containers import load
from cachedoctor.builds.doubling import Doubling, doublings
from cachedoctor.builds.match import match
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import load as load_caches
from tests.builds.made import build, cache, content, key, own, seen, source, step
from tests.support import FIXTURES

BASE = source("base:1")


def found(built: list[Build], config: CacheConfig) -> list[Doubling]:
    return doublings(built, match(built, [config]), Survey([config]))


def capture(name: str) -> tuple[list[Build], CacheConfig]:
    built = load(str(FIXTURES / f"builds/captures/{name}.json"))
    return built, load_caches(str(FIXTURES / f"manifests/{name}.json"))[0].config


def calls_without(config: CacheConfig, gone: set[tuple[int, int]]) -> int:
    """The calls of the loop check if inputs of records, given by record and number, have no links: a plain walk."""
    children: list[list[int]] = [[] for _ in config.digests]
    roots = set(range(len(config.digests)))
    for record in roots.copy():
        start = config.input_start[record]
        for slot in range(start, config.input_start[record + 1]):
            for link in range(config.link_start[slot], config.link_start[slot + 1]):
                if (record, slot - start) not in gone:
                    children[config.links[link]].append(record)
                    roots.discard(record)
    calls, waiting = 0, sorted(roots)
    while waiting:
        calls += 1
        waiting += children[waiting.pop()]
    return calls


@pytest.mark.parametrize("name", ["service", "diamond-8", "tag-a", "two-stages"])
def test_calls_are_those_of_a_plain_walk(name: str) -> None:
    built, config = capture(name)
    (names,) = match(built, [config])
    result = found(built, config)
    assert result
    assert [doubling.calls for doubling in result] == sorted(doubling.calls for doubling in result)
    for doubling in result:
        records = [record for record, of in enumerate(names) if of and of.places[0] == doubling.place]
        gone = {
            (record, doubling.input)
            for record in records
            if config.input_start[record] < config.input_start[record + 1]
        }
        assert doubling.calls == calls_without(config, gone) < calls_without(config, set())


def test_the_copies_that_matter_most_of_a_real_build() -> None:
    built, config = capture("diamond-8")
    result = found(built, config)
    lines = [built[0].steps[doubling.place.step].locations[0].line for doubling in result]
    assert (lines[0], result[0].calls) == (9, 762)
    assert len(lines) == 8


def test_where_the_file_was_made() -> None:
    """The stage `tests` only passes the file on, after a step that runs and may change it."""
    built, config = capture("service")
    (of_tests,) = (doubling for doubling in found(built, config) if doubling.instead)
    instead = of_tests.instead
    assert instead is not None
    steps = built[0].steps
    assert steps[of_tests.place.step].label == "COPY --from=tests /app /tested-app"
    assert steps[instead.place.step].label == "RUN echo compile > /app"
    assert (instead.path, [steps[run].label for run in instead.runs]) == ("/app", ["RUN test -f /app"])
    assert of_tests.calls < instead.calls < Survey([config]).loop_check.middle.calls


def passed_on(destination: str, path: str) -> list[Doubling]:
    """A file that is made in one stage, copied to another, and from there to a third."""
    make = step("RUN make", 2, own(0, "/"))
    first = step(f"COPY --from=make /out/app {destination}", 4, own(0), content(1, "/out/app"))
    second = step(f"COPY --from=mid {path} /app", 6, own(0), content(2, path))
    built = [build(BASE, make, first, second)]
    config = cache(
        (key(BASE), ()),
        (seen("x"), ()),
        (key(make), [[(0, "/")]]),
        (key(first), [[(0, "")], [(2, "/out/app"), (1, "")]]),
        (key(second), [[(0, "")], [(3, path), (1, "")]]),
    )
    return [doubling for doubling in found(built, config) if doubling.place.step == 3]


@pytest.mark.parametrize(
    ("destination", "path", "made"),
    [
        ("/bin/app", "/bin/app", "/out/app"),
        ("/bin/", "/bin/app", "/out/app"),
        ("/bin", "/bin/sub/file", "/out/app/sub/file"),
        ("/bin/app", "/bin/application", None),
        ("/bin/app", "/bin", None),
        ("bin/app", "/bin/app", None),
    ],
)
def test_what_a_file_is_called_where_it_was_made(destination: str, path: str, made: str | None) -> None:
    (doubling,) = passed_on(destination, path)
    assert (doubling.instead.path if doubling.instead else None) == made
    if doubling.instead:
        assert doubling.instead.place.step == 1
        assert doubling.instead.runs == ()


def test_nothing_without_names() -> None:
    _, config = capture("service")
    assert doublings([], [[None] * len(config.digests)], Survey([config])) == []


def test_numbers_too_large_to_count_again_and_again() -> None:
    """Calls with many thousands of digits: none are counted rather than taking minutes."""
    depth = 25_000
    steps = [BASE, step("COPY 1", 1, own(0), content(0, "/f"))]
    records = [(key(BASE), []), (key(steps[1]), [[(0, "")], [(0, "/f")]])]
    for line in range(2, depth):
        steps.append(step(f"COPY {line}", line, own(line - 1), content(line - 1, "/f")))
        records.append((key(steps[-1]), [[(line - 1, "")], [(line - 1, "/f")]]))
    assert found([build(*steps)], cache(*records)) == []
