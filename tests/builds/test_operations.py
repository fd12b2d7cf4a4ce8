"""Op digests, compared with those that BuildKit computed, and with texts written by hand for other releases."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.builds.build import record_digest
from cachedoctor.builds.messages import Op, Platform
from cachedoctor.builds.operations import digest, go_json, normalized, texts
from cachedoctor.builds.origins import Materials, digests, image_text, origin_of
from cachedoctor.builds.selectors import selections
from cachedoctor.sources.json import typed
from tests.builds.records import BUILDS, copy, run

VECTORS = json.loads((BUILDS / "vectors.json").read_text())


def op(kind: str, known: Any, platform: Any = None) -> Op:
    return typed({"Op": {kind: known}} | ({"platform": platform} if platform else {}), Op)


def written(kind: str, known: Any, inputs: int = 2, platform: Any = None) -> list[str]:
    """The texts that are hashed, the newest first."""
    return [text.decode() for text in texts(op(kind, known, platform), inputs)]


def actions(text: str) -> list[str]:
    """The actions in the text of a file operation."""
    return [base64.b64decode(action).decode() for action in json.loads(text)["Actions"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['source']}-{vector['step']}")
def test_digests_are_those_of_buildkit(vector: dict[str, Any]) -> None:
    known = op(vector["kind"], vector["op"], vector["platform"])
    inputs = len(vector["inputs"])
    if (source := known.op.source) is not None:
        pinned = origin_of(source).name.rpartition("@")[2]
        text = image_text(pinned, normalized(known.platform))
        op_digest = digests(source, known.platform, Materials())[0]
    else:
        text = texts(known, inputs)[0]
        op_digest = digest(text)
    assert text.decode() == vector["hashed"]
    assert op_digest == vector["op_digest"]
    assert record_digest(op_digest, 0) == vector["record_digest"]
    taken = selections(known, inputs)
    assert [selection.digest for selection in taken] == vector["selectors"]
    assert [list(selection.paths) or None for selection in taken] == vector["selector_paths"]
    assert [selection.by_content for selection in taken] == vector["content"]


def test_vectors_have_every_kind_that_dockerfiles_make() -> None:
    assert len(VECTORS) == 100
    assert {vector["kind"] for vector in VECTORS} == {"exec", "file", "merge", "source"}


def test_json_is_written_as_go_writes_it() -> None:
    text = 'a"\\/<>&\u2028\u2029\b\f\n\r\t\x00\x1f\x7fé☃'
    assert go_json([text]).decode() == (
        '["a\\"\\\\/\\u003c\\u003e\\u0026\\u2028\\u2029\\b\\f\\n\\r\\t\\u0000\\u001f\x7fé☃"]'
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_the_same_after_reading_it(text: str) -> None:
    written = go_json(text)
    assert json.loads(written) == text
    assert not set(b"<>&") & set(written)


@given(st.permutations(["args", "env", "cwd", "user", "hostname", "ulimit"]))
def test_the_order_in_the_record_does_not_matter(names: list[str]) -> None:
    limit = {"Soft": 1, "Hard": 2, "Name": "n"}
    values = {"args": ["a"], "env": ["E=1"], "cwd": "/", "user": "u", "hostname": "h", "ulimit": [limit]}
    text, *_ = written("exec", {"meta": {name: values[name] for name in names}})
    assert text == (
        '{"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["a"],"env":["E=1"],"cwd":"/","user":"u","hostname":"h",'
        '"ulimit":[{"Name":"n","Soft":1,"Hard":2}]}},"OS":"","Arch":""}'
    )


def test_what_differs_between_daemons_is_not_hashed() -> None:
    meta = {"args": ["a"], "extraHosts": [{"Host": "h", "IP": "10.0.0.1"}], "proxy_env": {"http_proxy": "p"}}
    mounts = [{"dest": "/", "selector": "/x"}]
    texts = written("exec", {"meta": meta, "mounts": mounts}, platform={"OS": "linux", "Architecture": "amd64"})
    assert texts == [
        '{"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["a"],"extraHosts":[{"Host":"h"}]}},"OS":"linux","Arch":"amd64"}'
    ]


@pytest.mark.parametrize(
    ("mount", "kept"),
    [
        ({"dest": "/c", "mountType": 3, "cacheOpt": {"ID": "/c"}}, {"ID": "/c"}),
        ({"dest": "/c", "mountType": 3, "cacheOpt": {"ID": "ns//c"}}, {"ID": "ns//c"}),
        ({"dest": "/c", "mountType": 3, "cacheOpt": {"ID": "//c", "sharing": 2}}, {}),
        ({"dest": "/c", "mountType": 3, "cacheOpt": {"ID": "mine"}}, {}),
    ],
)
def test_ids_of_caches_are_hashed_only_if_they_are_the_usual_ones(mount: dict[str, Any], kept: dict[str, str]) -> None:
    text, *_ = written("exec", {"meta": {}, "mounts": [{"dest": "/"}, mount]})
    assert json.loads(text)["Exec"]["mounts"][1]["cacheOpt"] == kept


@pytest.mark.parametrize(
    "more",
    [
        {"readonly": True},
        {"mountType": 3},
        {"cacheOpt": {}},
        {"secretOpt": {}},
        {"SSHOpt": {}},
        {"resultID": "r"},
        {"dest": "/x"},
    ],
)
def test_a_single_mount_is_hashed_if_it_is_not_plain(more: dict[str, Any]) -> None:
    text, *_ = written("exec", {"meta": {}, "mounts": [{"dest": "/", "input": 1, "TmpfsOpt": {"size": 1}, **more}]})
    assert len(json.loads(text)["Exec"]["mounts"]) == 1
    plain, *_ = written("exec", {"meta": {}, "mounts": [{"dest": "/", "input": 1, "TmpfsOpt": {}, "contentCache": 2}]})
    assert "mounts" not in json.loads(plain)["Exec"]


def test_older_releases_write_mounts_differently() -> None:
    mounts = [{"dest": "/"}, {"input": 1, "dest": "/c", "output": -1, "mountType": 3, "cacheOpt": {"ID": "mine"}}]
    platform = {"OS": "windows", "Architecture": "amd64", "OSVersion": "10.0"}
    new, v0_16, v0_12 = written("exec", {"meta": {}, "mounts": mounts}, platform=platform)
    cache = '{"input":1,"dest":"/c","output":-1,"mountType":3,"cacheOpt":'
    start, end = '{"Type":"buildkit.exec.v0","Exec":{"meta":{},"mounts":[', '}]},"OS":"windows","Arch":"amd64"'
    assert new == f'{start}{{"dest":"/"}},{cache}{{}}{end},"OSVersion":"10.0"}}'
    assert v0_16 == f'{start}{{"input":0,"dest":"/","output":0}},{cache}{{}}{end},"OSVersion":"10.0"}}'
    assert v0_12 == f'{start}{{"input":0,"dest":"/","output":0}},{cache}{{"ID":"mine"}}{end}}}'


def test_older_releases_write_owners_differently() -> None:
    owner = {"user": {"User": {"byName": {"name": "app"}}}, "group": {"User": {"byId": 7}}}
    new, v0_17, v0_16 = (actions(text)[0] for text in written("file", copy("/a", "/b", owner=owner)))
    rest = '},"mode":-1,"timestamp":-1}'
    start = '{"src":"a","dest":"/b","owner":{'
    assert new == f'{start}"user":{{"User":{{"byName":{{"name":"app"}}}}}},"group":{{"User":{{"byId":7}}}}{rest}'
    assert v0_17 == f'{start}"user":{{"User":{{"ByName":{{"name":"app"}}}}}},"group":{{"User":{{"ByID":7}}}}{rest}'
    assert v0_16 == (
        f'{start}"user":{{"User":{{"byName":{{"name":"app","input":0}}}}}},"group":{{"User":{{"byID":7}}}}{rest}'
    )


def test_root_as_a_number_is_written_as_no_user() -> None:
    owner: dict[str, Any] = {"user": {"User": {}}}
    new, v0_17 = (actions(text)[0] for text in written("file", copy("/a", "/b", owner=owner)))
    assert '"owner":{"user":{"User":{}}}' in new
    assert '"owner":{"user":{"User":{"ByID":0}}}' in v0_17


@pytest.mark.parametrize(("src", "base"), [("/a/b", "b"), ("/a/b/", "b"), ("/", "/"), ("", "."), ("a", "a")])
def test_only_the_last_part_of_what_is_copied_is_hashed(src: str, base: str) -> None:
    (text,) = written("file", copy(src, "/d"))
    assert json.loads(actions(text)[0])["src"] == base
    (whole,) = written("file", copy(src, "/d", secondary=2))
    assert json.loads(actions(whole)[0]).get("src", "") == src


@pytest.mark.parametrize(
    ("numbers", "indexes"),
    [
        ([(0, 1, 0)], None),
        ([(0, -1, 0)], None),
        ([(-1, 0, 0)], [[-1, 0, 0]]),
        ([(0, 1, -1), (2, 1, 0)], None),
        ([(0, 1, -1), (2, -1, -1), (3, 1, -1), (4, 1, 0)], [[0, 1, -1], [2, -1, -1], [3, 1, -1], [4, 1, 0]]),
        ([(0, 1, -1), (3, -1, -1), (4, 1, 0)], None),
        ([(0, 1, 0), (2, 1, 0)], [[0, 1, 0], [2, 1, 0]]),
    ],
)
def test_indexes_are_hashed_unless_they_are_the_usual_ones(
    numbers: list[tuple[int, int, int]], indexes: list[list[int]] | None
) -> None:
    remove = {"rm": {"path": "/x"}}
    listed = [
        {"input": input, "secondaryInput": secondary, "output": output, "Action": remove}
        for input, secondary, output in numbers
    ]
    (text,) = written("file", {"actions": listed})
    assert json.loads(text).get("indexes") == indexes


@pytest.mark.parametrize("kind", ["mkfile", "mkdir"])
def test_actions_are_written_in_the_order_of_go(kind: str) -> None:
    action = {"timestamp": 5, "mode": 420, "path": "/a", "data": "aGk=", "makeParents": True}
    (text,) = written("file", {"actions": [{"input": -1, "secondaryInput": -1, "output": 0, "Action": {kind: action}}]})
    expected = {
        "mkfile": '{"path":"/a","mode":420,"data":"aGk=","timestamp":5}',
        "mkdir": '{"path":"/a","mode":420,"makeParents":true,"timestamp":5}',
    }
    assert actions(text) == [expected[kind]]


def test_other_operations() -> None:
    assert written("merge", {"inputs": [{}, {"input": 1}]}) == [
        '{"Type":"buildkit.merge.v0","Merge":{"inputs":[{},{"input":1}]}}',
        '{"Type":"buildkit.merge.v0","Merge":{"inputs":[{"input":0},{"input":1}]}}',
    ]
    assert written("diff", {"lower": {"input": -1}, "upper": {}}) == [
        '{"Type":"buildkit.diff.v0","Diff":{"lower":{"input":-1},"upper":{}}}',
        '{"Type":"buildkit.diff.v0","Diff":{"lower":{"input":-1},"upper":{"input":0}}}',
    ]
    assert written("passthrough", {"outputs": [1], "id": "x"}) == [
        '{"Type":"buildkit.passthrough.v0","Passthrough":{"id":"x","outputs":[1]}}'
    ]


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("build", {"builder": -1}),
        ("later", {"x": 1}),
        ("file", {"actions": [{"input": 0, "secondaryInput": -1, "output": 0, "Action": {}}]}),
    ],
)
def test_what_cannot_be_computed_has_no_text(kind: str, known: Any) -> None:
    assert written(kind, known) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Linux/x86_64", ("linux", "amd64", "")),
        ("linux/x86-64/v1", ("linux", "amd64", "")),
        ("linux/amd64/v2", ("linux", "amd64", "v2")),
        ("linux/i386/x", ("linux", "386", "")),
        ("linux/aarch64/v8", ("linux", "arm64", "")),
        ("linux/arm64/8", ("linux", "arm64", "")),
        ("linux/arm64/v8.0", ("linux", "arm64", "")),
        ("linux/arm64/9.0", ("linux", "arm64", "v9")),
        ("linux/arm", ("linux", "arm", "v7")),
        ("linux/arm/6", ("linux", "arm", "v6")),
        ("linux/arm/v5", ("linux", "arm", "v5")),
        ("linux/armhf", ("linux", "arm", "v7")),
        ("linux/armel", ("linux", "arm", "v6")),
        ("macos/arm64", ("darwin", "arm64", "")),
    ],
)
def test_platforms_are_normalized(given: str, expected: tuple[str, str, str]) -> None:
    os, architecture, variant = [*given.split("/"), ""][:3]
    platform = normalized(Platform(architecture, os, variant))
    assert (platform.os, platform.architecture, platform.variant) == expected


def test_features_of_a_platform_are_sorted() -> None:
    platform = {"OS": "windows", "Architecture": "amd64", "OSFeatures": ["win32k", "a", "a"], "OSVersion": "1"}
    text, *_ = written("exec", run("x"), platform=platform)
    assert text.endswith('"OS":"windows","Arch":"amd64","OSVersion":"1","OSFeatures":["a","win32k"]}')
