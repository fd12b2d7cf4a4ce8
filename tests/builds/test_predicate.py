"""Provenance read as a build."""

import json
import pickle
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.builds.build import Build, Location, Step, record_digest
from cachedoctor.builds.containers import load
from cachedoctor.errors import InputError
from tests.builds.records import BUILDS, copy, only, predicate, read, run, source, step

IMAGE = f"docker-image://docker.io/library/a:1@sha256:{'a' * 64}"
MIN: dict[str, Any] = {"buildType": "https://mobyproject.org/buildkit@v1", "invocation": {"parameters": {}}}


def capture(name: str) -> Build:
    (build,) = load(str(BUILDS / name))
    return build


def problem(document: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(document)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("release", ["v0.21.1", "v0.32.2"])
def test_steps_have_the_lines_of_their_instructions(release: str) -> None:
    build = capture(f"t-history-predicate-{release}.json")
    dockerfile = (BUILDS / "dockerfiles/t.Dockerfile").read_text().split("\n")
    assert (build.kind, build.target, build.platform) == ("predicate", "", "linux/amd64")
    assert build.dockerfile == "t.Dockerfile"
    places = {location for found in build.steps for location in found.locations}
    assert {location.line for location in places} == {
        *(1, 4, 5, 7, 8, 9, 10, 13, 14, 15, 16, 17, 19, 23, 27, 29, 30, 31, 32, 34, 35, 36)
    }
    for location in places:
        assert location.file == "t.Dockerfile"
        assert location.text.split()[0] == dockerfile[location.line - 1].split()[0]
    assert Location("t.Dockerfile", 17, 18, "RUN --network=none ls /app && true") in places
    assert Location("t.Dockerfile", 19, 22, "RUN <<EOF") in places
    assert {found.label for found in build.steps if not found.locations} == {"build context", "heredoc document"}


def test_both_releases_give_the_same_steps() -> None:
    old, new = (capture(f"t-history-predicate-{release}.json") for release in ("v0.21.1", "v0.32.2"))

    def known(found: Step) -> Any:
        return found.kind, found.digests, found.inputs, found.locations, found.label

    assert list(map(known, old.steps)) == list(map(known, new.steps))
    assert [found.facts for found in old.steps] == [found.facts for found in new.steps]


def test_vertices_are_those_that_logs_name() -> None:
    build = capture("t-history-predicate-v0.32.2.json")
    listed = json.loads((BUILDS / "t-history-predicate-v0.32.2.json").read_text())
    mapping = listed["buildDefinition"]["internalParameters"]["buildConfig"]["digestMapping"]
    assert all(mapping[found.vertex] == found.id for found in build.steps)


@pytest.mark.parametrize(
    ("cache", "record", "named", "records"),
    [
        ("bundle-v0.21.1.cache.json", "bundle-v0.21.1.provenance.json", 13, 13),
        ("bundle-v0.32.2.cache.json", "bundle-v0.32.2.provenance.json", 13, 13),
        ("media-v0.32.2.cache.json", "media-v0.32.2.provenance.json", 296, 296),
        ("../manifests/service.json", "captures/service.json", 8, 8),
        ("../manifests/two-stages.json", "captures/two-stages.json", 7, 7),
        ("../manifests/diamond-8.json", "captures/diamond-8.json", 19, 19),
        ("../manifests/tag-a.json", "captures/tag-a.json", 11, 11),
        ("../manifests/tag-b.json", "captures/tag-b.json", 11, 11),
        ("../manifests/shared-copies-t1.json", "captures/shared-copies-t1.json", 75, 85),
    ],
)
def test_steps_make_the_records_of_the_cache(cache: str, record: str, named: int, records: int) -> None:
    steps = capture(record).steps
    made = {(record_digest(digest, 0), len(found.inputs)) for found in steps for digest in found.digests}
    listed = [entry for entry in json.loads((BUILDS / cache).read_text())["records"] if entry.get("inputs")]
    assert sum((entry["digest"], len(entry["inputs"])) in made for entry in listed) == named
    assert len(listed) == records


def test_steps_of_media_come_after_what_they_need() -> None:
    steps = capture("media-v0.32.2.provenance.json").steps
    assert len(steps) == 299
    assert all(needed.step < number for number, found in enumerate(steps) for needed in found.inputs)


@given(st.permutations(range(6)))
def test_any_order_is_sorted(order: list[int]) -> None:
    listed = [
        step("s0", "source", source(IMAGE)),
        *(step(f"s{b}", "exec", run(str(b)), f"s{a}:0") for a, b in pairwise(range(6))),
    ]
    build = only(predicate([listed[number] for number in order]))
    assert [found.id for found in build.steps] == [f"s{number}" for number in range(6)]
    assert [[needed.step for needed in found.inputs] for found in build.steps] == [[], [0], [1], [2], [3], [4]]


def test_the_result_is_not_a_step_but_an_unknown_operation_is() -> None:
    listed = [
        step("a", "source", source(IMAGE)),
        step("b", "later", {}, "a:0"),
        step("c", "exec", run("x"), "b:3"),
        step("d", "", None, "c:0"),
    ]
    build = only(predicate(listed))
    assert [(found.id, found.kind, len(found.digests)) for found in build.steps] == [
        ("a", "source", 1),
        ("b", "", 0),
        ("c", "exec", 1),
    ]
    assert build.steps[2].inputs[0].output == 3
    assert build.steps[1].label == "unknown operation"


@pytest.mark.parametrize(
    ("kind", "op", "label"),
    [
        ("source", source("local://context"), "build context"),
        ("source", source("local://dockerfile"), "Dockerfile"),
        ("source", source("local://docs"), "build context docs"),
        ("source", source(IMAGE), "base image"),
        ("source", source("git://h/r#main"), "git repository"),
        ("source", source("https://h/x"), "download"),
        ("source", source("later://h/x"), "source"),
        ("file", {"actions": [{"Action": {"mkdir": {"path": "/c"}}}]}, "cache mount directory"),
        ("file", {"actions": [{"Action": {"mkfile": {"path": "/EOF"}}}]}, "heredoc document"),
        ("file", {"actions": [{"Action": {"rm": {"path": "/x"}}}]}, "file operation"),
        ("exec", run("x"), "command"),
        ("merge", {}, "merge of layers"),
        ("diff", {}, "difference of layers"),
        ("passthrough", {}, "passed-through inputs"),
        ("build", {}, "nested build"),
    ],
)
def test_steps_without_a_place_have_a_name(kind: str, op: Any, label: str) -> None:
    *_, found = only(predicate([step("a", "source", source(IMAGE)), step("b", kind, op, "a:0")])).steps
    assert (found.label, found.kind) == (label, kind)


@pytest.mark.parametrize(
    ("args", "vcs", "path"),
    [
        ({}, {}, "Dockerfile"),
        ({"filename": "Dockerfile"}, {"localdir:dockerfile": "svc"}, "svc/Dockerfile"),
        ({"filename": "Dockerfile", "vcs:localdir:dockerfile": "svc/"}, {}, "svc/Dockerfile"),
        ({"filename": "Dockerfile"}, {"localdir:dockerfile": "."}, "Dockerfile"),
    ],
)
def test_the_path_of_the_dockerfile(args: dict[str, str], vcs: dict[str, str], path: str) -> None:
    listed = [step("a", "source", source(IMAGE))]
    build = only(predicate(listed, dockerfile="FROM a", lines={"a": [1]}, args=args, vcs=vcs))
    assert build.dockerfile == path
    assert build.steps[0].locations == (Location(path, 1, 1, "FROM a"),)


@pytest.mark.parametrize(
    "listed", [None, [], [{"sourceIndex": 1, "ranges": [{"start": {"line": 1}}]}], [{"ranges": [{}]}]]
)
def test_places_that_are_not_there(listed: Any) -> None:
    document = predicate([step("a", "source", source(IMAGE))], dockerfile="FROM a")
    notes = next(iter(document["metadata"].values()))
    notes["source"]["locations"] = {"a": {"locations": listed}} if listed is not None else {"b": {}}
    assert only(document).steps[0].locations == ()


def test_a_dockerfile_that_is_not_base64_has_no_text() -> None:
    document = predicate([step("a", "source", source(IMAGE))], lines={"a": [1]})
    next(iter(document["metadata"].values()))["source"]["infos"][0]["data"] = "?"
    (found,) = only(document).steps
    assert (found.locations, found.label) == ((Location("Dockerfile", 1, 1, ""),), "base image")


@pytest.mark.parametrize(
    ("args", "platform", "expected"),
    [
        ({}, None, "linux/riscv64"),
        ({}, {"OS": "linux", "Architecture": "aarch64"}, "linux/arm64"),
        ({"platform": "linux/arm/v7"}, {"OS": "linux", "Architecture": "amd64"}, "linux/arm/v7"),
        ({"platform": "linux/arm/v7,linux/386"}, {"OS": "linux", "Architecture": "386"}, "linux/386"),
    ],
)
def test_the_platform(args: dict[str, str], platform: Any, expected: str) -> None:
    listed = [
        step("a", "source", source(IMAGE), platform=platform),
        step("b", "file", copy("/a", "/b", secondary=0), "a:0"),
        step("c", "", None, "b:0"),
    ]
    assert only(predicate(listed, args=args, platform="linux/riscv64")).platform == expected


def test_a_step_without_platform_runs_on_that_of_the_daemon() -> None:
    arm = {"OS": "linux", "Architecture": "arm64"}
    one, other = (
        only(predicate([step("a", "source", source(IMAGE), platform=given)], platform="linux/arm64")).steps[0]
        for given in (None, arm)
    )
    assert one.digests == other.digests


def test_the_target() -> None:
    assert only(predicate([step("a", "source", source(IMAGE))], args={"target": "tests"})).target == "tests"


COMMAND = "docker buildx history inspect attachment --type provenance > provenance.json"
TYPE_1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"


@pytest.mark.parametrize(
    "document",
    [
        MIN,
        MIN | {"buildConfig": {}},
        MIN | {"buildConfig": {"llbDefinition": []}},
        {"buildDefinition": {"buildType": TYPE_1}},
    ],
)
def test_provenance_in_min_mode_names_the_command(document: dict[str, Any]) -> None:
    text = problem(document)
    assert "min mode" in text
    assert text.endswith(COMMAND)


def test_provenance_of_other_programs() -> None:
    text = problem({"buildDefinition": {"buildType": "https://actions.github.io/buildtypes/workflow/v1"}})
    assert "BuildKit did not write" in text
    assert text.endswith(COMMAND)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([step("a"), step("a")], "$.buildConfig.llbDefinition[1].id: two steps have the same id, 'a'"),
        (
            [step("a", "merge", {}, "b:0"), step("b", "merge", {}, "a:0")],
            "$.buildConfig.llbDefinition: 2 steps are in a cycle, or depend on one",
        ),
        ([step("a", "merge", {}, "a:0")], "1 steps are in a cycle"),
        ([step("a", "merge", {}, "b:0")], "$.buildConfig.llbDefinition[0].inputs: expected the id of another step"),
        ([step("b"), step("a", "merge", {}, "b:-1")], "[1].inputs: expected the number of an output after a colon"),
        ([step("b"), step("a", "merge", {}, "b:1000")], "[1].inputs: expected the number of an output"),
        ([step("b"), step("a", "merge", {}, "b")], "[1].inputs: expected the id of another step and an output"),
        ([{"id": 1}], "$.buildConfig.llbDefinition[0].id: expected a string, found an integer"),
        ([{"op": {}}], "$.buildConfig.llbDefinition[0]"),
        ([step("a", "exec", {"meta": {"args": "x"}})], "expected an array, found a string"),
        ([step("a", "exec", run("x"))], "$.buildConfig.llbDefinition[0]: uses input 0 of an operation with 0 inputs"),
        ("x", "expected an array, found a string"),
    ],
)
def test_refuses_what_is_not_a_build(listed: Any, expected: str) -> None:
    assert expected in problem(predicate(listed))


def test_refuses_too_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.predicate.MOST_STEPS", 1)
    assert "more than 1 steps" in problem(predicate([step("a"), step("b")]))
    monkeypatch.setattr("cachedoctor.builds.predicate.MOST_INPUTS", 1)
    assert "more than 1 inputs" in problem(predicate([step("a", "merge", {}, "a:0", "a:0")]))


def test_a_long_chain_is_read_without_recursion() -> None:
    count = 20_000
    listed = [step(f"s{number}", "merge", {}, f"s{number + 1}:0") for number in range(count)]
    build = only(predicate([*listed, step(f"s{count}", "source", source("local://context"))]))
    assert [found.id for found in build.steps[:2]] == [f"s{count}", f"s{count - 1}"]


SECRET = "hunter2-correct-horse"


def full_of_secrets() -> dict[str, Any]:
    """Provenance in which every value is secret, and a Dockerfile that assigns some."""
    commands = run("/bin/sh", "-c", f"echo {SECRET}", env=[f"TOKEN={SECRET}", f"PATH={SECRET}"])
    commands["meta"] |= {"proxy_env": {"http_proxy": f"http://u:{SECRET}@h"}, "user": SECRET, "hostname": SECRET}
    commands["mounts"].append({"dest": f"/run/{SECRET}", "mountType": 1, "secretOpt": {"ID": SECRET}, "input": -1})
    commands["secretenv"] = [{"ID": SECRET, "name": "TOKEN2"}]
    heredoc = {"actions": [{"input": -1, "secondaryInput": -1, "Action": {"mkfile": {"path": "/EOF", "data": SECRET}}}]}
    dockerfile = "\n".join(
        (
            *(
                "FROM a",
                f"ARG TOKEN={SECRET}",
                f"ENV TOKEN='{SECRET}'",
                f"RUN docker build --build-arg TOKEN={SECRET} .",
            ),
            *("COPY <<EOF /x", SECRET, "EOF"),
        )
    )
    listed = [
        step("a", "source", source(f"https://u:{SECRET}@h/{SECRET}", http_checksum="sha256:1")),
        step("b", "source", source(f"git://h/{SECRET}#main", git_fullurl=f"https://u:{SECRET}@h/r")),
        step("c", "file", copy(f"/x/{SECRET}", f"/y/{SECRET}"), "a:0", "b:0"),
        step("d", "exec", commands, "c:0"),
        step("e", "file", heredoc),
        step("f", "merge", {"inputs": [{}, {"input": 1}]}, "d:0", "e:0"),
        step("g", "", None, "f:0"),
    ]
    lines = {"a": [2], "b": [3], "d": [4], "e": [5, 6, 7]}
    args = {"build-arg:TOKEN": SECRET, "label:x": SECRET, "vcs:source": f"https://u:{SECRET}@h", "context": SECRET}
    materials = [{"uri": f"https://u:{SECRET}@h/r#main", "digest": {"sha1": "1" * 40}}]
    return predicate(listed, dockerfile=dockerfile, lines=lines, args=args, materials=materials)


def test_no_value_is_kept() -> None:
    (build,) = builds = read(full_of_secrets())
    assert len(build.steps) == 6
    kept = repr(builds) + repr([found.facts for found in build.steps])
    assert SECRET not in kept
    assert SECRET.encode() not in pickle.dumps([dict(found.facts) for found in build.steps])
    assert SECRET.encode() not in pickle.dumps(builds)
    assert build.steps[2].inputs[1].paths == ("/x/${TOKEN}",)
    assert [location.text for found in build.steps for location in found.locations] == [
        *("ARG TOKEN", "ENV TOKEN", "RUN docker build --build-arg TOKEN .", "COPY <<EOF /x")
    ]


@pytest.mark.parametrize("where", ["op", "inputs", "materials", "locations", "args"])
def test_no_value_is_in_an_error(where: str) -> None:
    document = full_of_secrets()
    if where in ("op", "inputs"):
        document["buildConfig"]["llbDefinition"][3][where] = SECRET if where == "op" else [f"{SECRET}:0"]
    elif where == "materials":
        document["materials"] = [{"uri": [SECRET]}]
    elif where == "args":
        document["invocation"]["parameters"]["args"]["build-arg:TOKEN"] = [SECRET]
    else:
        next(iter(document["metadata"].values()))["source"]["locations"] = {"a": SECRET}
    assert SECRET not in problem(document)


def test_paths_are_not_shown_if_there_are_too_many_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.predicate.MOST_HIDDEN", 0)
    assert read(full_of_secrets())[0].steps[2].inputs[1].paths == ("...",)
