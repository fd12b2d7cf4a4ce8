"""What differs between two builds, by name."""

from typing import Any

import pytest

from cachedoctor.builds.build import Step
from cachedoctor.builds.containers import load
from tests.builds.records import copy, only, predicate, run, source, step
from tests.support import FIXTURES

OWNER = {"user": {"User": {"byId": 1}}}


def differing(kind: str, one: Any, other: Any) -> set[str]:
    """The names of the facts in which two operations differ."""
    first, second = (
        only(predicate([step("i", "source", source("local://context")), step("s", kind, op, "i:0", "i:0")])).steps[1]
        for op in (one, other)
    )
    changed = _differing(first, second)
    assert bool(changed) == (first.digests != second.digests or first.inputs != second.inputs)
    return changed


def _differing(first: Step, second: Step) -> set[str]:
    return {name for name in {*first.facts, *second.facts} if first.facts.get(name) != second.facts.get(name)}


def meta(**more: Any) -> dict[str, Any]:
    command = run("a", env=["A=1", "B=2"])
    command["meta"] |= more
    return command


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (meta(), set()),
        (meta(args=["b"]), {"command"}),
        (meta(env=["A=1", "B=3"]), {"environment variable B"}),
        (meta(env=["A=1"]), {"environment variable B", "order of environment variables"}),
        (meta(env=["B=2", "A=1"]), {"order of environment variables"}),
        (meta(user="u"), {"user"}),
        (meta(cwd="/x"), {"working directory"}),
        (meta(hostname="h"), {"host name"}),
        (meta(cgroupParent="h"), {"control group"}),
        (meta(validExitCodes=[1]), {"accepted exit codes"}),
        (meta(removeMountStubsRecursive=True), {"mount stubs"}),
        (meta(extraHosts=[{"Host": "h", "IP": "1"}]), {"host h"}),
        (meta(ulimit=[{"Name": "nofile", "Soft": 1}]), {"limit nofile"}),
        (meta(proxy_env={"http_proxy": "x"}), set()),
        (meta() | {"network": 1}, {"network"}),
        (meta() | {"security": 1}, {"security"}),
        (meta() | {"secretenv": [{"ID": "a", "name": "TOKEN"}]}, {"secret TOKEN"}),
        (meta() | {"cdiDevices": [{"name": "gpu"}]}, {"device gpu"}),
        (meta() | {"mounts": [{"dest": "/"}, {"dest": "/m", "input": 1}]}, {"mount /m", "order of mounts"}),
    ],
)
def test_what_differs_in_a_command(other: Any, names: set[str]) -> None:
    assert differing("exec", meta(), other) == names


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (copy("/a", "/d"), set()),
        (copy("/b", "/d"), {"files"}),
        (copy("/a", "/e"), {"destination"}),
        (copy("/a", "/d", mode=493), {"mode"}),
        (copy("/a", "/d", modeStr="u+x"), {"mode"}),
        (copy("/a", "/d", owner=OWNER), {"owner"}),
        (copy("/a", "/d", timestamp=0), {"time"}),
        (copy("/a", "/d", exclude_patterns=["x"]), {"options"}),
    ],
)
def test_what_differs_in_a_copy(other: Any, names: set[str]) -> None:
    assert differing("file", copy("/a", "/d"), other) == names


def test_what_differs_in_the_content_of_a_file() -> None:
    one, other = (
        {"actions": [{"input": -1, "secondaryInput": -1, "Action": {"mkfile": {"path": "/EOF", "data": data}}}]}
        for data in ("YQ==", "Yg==")
    )
    assert differing("file", one, other) == {"content of the file"}


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ("docker-image://a@sha256:" + "1" * 64, "docker-image://b@sha256:" + "1" * 64, set()),
        ("docker-image://a@sha256:" + "1" * 64, "docker-image://a@sha256:" + "2" * 64, {"base image"}),
        ("git://h/r#" + "1" * 40, "git://h/r#" + "2" * 40, {"repository"}),
    ],
)
def test_what_differs_in_a_source(one: str, other: str, names: set[str]) -> None:
    first, second = (only(predicate([step("a", "source", source(text))])).steps[0] for text in (one, other))
    assert _differing(first, second) == names


def test_what_differs_in_a_download() -> None:
    first, second = (
        only(predicate([step("a", "source", source("https://h/x", http_checksum=text))])).steps[0] for text in "12"
    )
    assert _differing(first, second) == {"checksum"}


def test_what_differs_in_the_platform() -> None:
    image = source("docker-image://a@sha256:" + "1" * 64)
    first, second = (
        only(predicate([step("a", "source", image, platform={"OS": "linux", "Architecture": name})])).steps[0]
        for name in ("amd64", "arm64")
    )
    assert _differing(first, second) == {"platform"}


def test_a_changed_line_differs_in_its_command_only() -> None:
    before, after = (
        load(str(FIXTURES / f"hits/bundle-edit-v0.32.2.{name}.json"))[0] for name in ("before", "provenance")
    )
    changed = {
        (second.label, name)
        for first, second in zip(before.steps, after.steps, strict=True)
        for name in _differing(first, second)
    }
    assert changed == {("RUN echo bb > /b", "command")}
