"""`cachedoctor check` of many sources: read at the same time, each judged, and one report on all."""

from __future__ import annotations

import gc
import gzip
import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from typing import Any
from xml.etree import ElementTree

import pytest

from cachedoctor.cli import inputs, output
from cachedoctor.cli.commands.check import MOST_TOGETHER
from cachedoctor.cli.parallel import MOST_READERS, in_parallel
from cachedoctor.io import memory
from cachedoctor.sources import CacheDocument, load
from cachedoctor.sources import json as sources_json
from cachedoctor.sources.registry import client as registry_client
from cachedoctor.sources.registry.session import MOST_FAILURES
from tests.registries import (
    BASIC,
    PASSWORD,
    REAL,
    TINY,
    USER,
    Client,
    _push_blob,
    _push_manifest,
    available,
    push,
    serve,
)
from tests.report.rendered import OF_ANALYSES
from tests.servers import Exchange, Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, PLAIN, Layout, tar
from tests.sources.tiny_registry import TinyRegistry, digest
from tests.support import FIXTURES, run

MANIFESTS = FIXTURES / "manifests"
SERVICE = MANIFESTS / "service.json"
DIAMONDS = MANIFESTS / "diamond-28.json"
TOO_LARGE = MANIFESTS / "too-large.json"
TAGS = (MANIFESTS / "tag-a.json", MANIFESTS / "tag-b.json")
ADVICE = "Have fewer diamonds in the Dockerfile"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that is the root of a repository, so that no settings from elsewhere apply."""
    (tmp_path / ".git").mkdir()
    return tmp_path


def tagged(address: str, tags: Mapping[str, Path], repository: str = "team/app") -> str:
    """Push cache configs without layers as tags of a repository; returns a reference to it."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        for tag, path in tags.items():
            config = path.read_bytes()
            _push_blob(connection, repository, digest(config), config)
            described = {
                "mediaType": "application/vnd.buildkit.cacheconfig.v0",
                "digest": digest(config),
                "size": len(config),
            }
            media_type = "application/vnd.oci.image.manifest.v1+json"
            manifest = {"schemaVersion": 2, "mediaType": media_type, "config": described, "layers": []}
            _push_manifest(connection, repository, tag, json.dumps(manifest).encode())
    return f"docker://{address}/{repository}"


HUNDRED = {f"pr-{index:03}": DIAMONDS if index in (7, 50, 93) else SERVICE for index in range(100)}


@pytest.fixture(scope="module", params=[TINY, pytest.param(REAL, marks=pytest.mark.slow)])
def hundred(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that requires a password, with a hundred tags."""
    if request.param == REAL and not available():
        pytest.skip("docker-registry is not installed")
    with serve(request.param, tmp_path_factory.mktemp("hundred"), private=True) as address:
        tagged(address, HUNDRED)
        yield address


def copies(folder: Path, count: int, of: Path = SERVICE) -> list[str]:
    names = [f"{index:03}.json" for index in range(count)]
    for name in names:
        shutil.copy(of, folder / name)
    return names


def lines(text: bytes, title: str) -> list[str]:
    """The rows of a table of a report, without title, heads and rule."""
    _, _, below = text.decode().partition(f"\n{title}")
    return [line.strip() for line in below.partition("\n\n")[0].splitlines()[3:]]


# A registry


def test_a_hundred_tags_of_a_registry(hundred: str, client: Client) -> None:
    connections = set()
    upstream = forward(hundred)

    def respond(exchange: Exchange) -> None:
        connections.add(exchange.handler.client_address)
        upstream(exchange)

    with Server(respond) as front:
        client.log_in(front.address)
        got = client.run("check", f"docker://{front.address}/team/app", "--all-tags", "--ignore", "CD303", "-f", "json")
        assert (got.returncode, got.stderr) == (1, b"")
        kinds = Counter(path.split("/")[4] for path in front.paths)
        unnamed = [exchange for exchange in front.seen if "authorization" not in exchange.headers]
    document = json.loads(got.stdout)
    names = {judged["source"].rpartition(":")[2]: judged["failed"] for judged in document["judged"]}
    assert list(names) == list(HUNDRED)
    assert [name for name, failed in names.items() if failed == ["CD201"]] == ["pr-007", "pr-050", "pr-093"]
    assert document["together"] is False
    assert document["costliest"].endswith(":pr-007")
    # One more to be asked for the password; after that, everything is asked for once.
    assert kinds == {"tags": 2, "manifests": 100, "blobs": 100}
    assert len(unnamed) == 1
    assert len(connections) <= MOST_READERS


def test_a_helper_is_asked_once(hundred: str, client: Client, tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-test"
    answer = json.dumps({"Username": USER, "Secret": PASSWORD})
    program.write_text(f"#!/bin/sh\ncat > /dev/null\necho asked >> {tmp_path}/asked\nprintf '%s' '{answer}'\n")
    program.chmod(0o755)
    client.config(credsStore="test")
    sources = [f"docker://{hundred}/team/app:{tag}" for tag in list(HUNDRED)[:20]]
    got = client.run("check", *sources, "-f", "json", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert got.returncode == 1
    assert len(json.loads(got.stdout)["judged"]) == 20
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_one_token_is_enough(client: Client, tmp_path: Path) -> None:
    with serve(TINY, tmp_path) as address:
        tagged(address, dict(list(HUNDRED.items())[:20]))
        upstream = forward(address)
        with Server(lambda exchange: exchange.answer(200, b'{"token":"good-token"}')) as tokens:
            challenge = f'Bearer realm="http://{tokens.address}/token",scope="repository:team/app:pull"'

            def respond(exchange: Exchange) -> None:
                if exchange.headers.get("authorization") == "Bearer good-token":
                    upstream(exchange)
                else:
                    exchange.answer(401, b"{}", {"WWW-Authenticate": challenge})

            with Server(respond) as front:
                sources = [f"docker://{front.address}/team/app:{tag}" for tag in list(HUNDRED)[:20]]
                got = client.run("check", *sources, "-f", "json")
                assert len(json.loads(got.stdout)["judged"]) == 20
                assert len(tokens.paths) == 1


def test_a_token_that_expires_is_renewed(client: Client, tmp_path: Path) -> None:
    """Each token is good for 16 requests, and nobody asks for another while it is good."""
    given: list[str] = []
    uses: Counter[str] = Counter()

    def token(exchange: Exchange) -> None:
        given.append(f"token-{len(given)}")
        exchange.answer(200, json.dumps({"token": given[-1]}).encode())

    with serve(TINY, tmp_path) as address, Server(token) as tokens:
        tagged(address, dict(list(HUNDRED.items())[:20]))
        upstream = forward(address)
        challenge = f'Bearer realm="http://{tokens.address}/token",scope="repository:team/app:pull"'

        def respond(exchange: Exchange) -> None:
            bearer = exchange.headers.get("authorization", "").removeprefix("Bearer ")
            uses[bearer] += 1
            if bearer and uses[bearer] <= 16:
                upstream(exchange)
            else:
                exchange.answer(401, b"{}", {"WWW-Authenticate": challenge})

        with Server(respond) as front:
            sources = [f"docker://{front.address}/team/app:{tag}" for tag in list(HUNDRED)[:20]]
            got = client.run("check", *sources, "-f", "json")
    assert got.returncode == 1
    assert len(json.loads(got.stdout)["judged"]) == 20
    assert len(given) == 3


def test_order_does_not_depend_on_who_answers_first(client: Client, tmp_path: Path, folder: Path) -> None:
    """The first source is answered after all others; nevertheless it comes first."""
    with serve(TINY, tmp_path) as address:
        repository = tagged(address, dict.fromkeys("abc", SERVICE)).partition("/team")[2]
        upstream, others = forward(address), Event()

        def respond(exchange: Exchange) -> None:
            if exchange.path.endswith("manifests/a"):
                others.wait(30)
            upstream(exchange)
            if exchange.path.endswith("manifests/c"):
                others.set()

        with Server(respond) as front:
            sources = [f"docker://{front.address}/team{repository}:{tag}" for tag in "abc"]
            got = client.run("check", *sources, "-f", "json")
            assert others.is_set()
    assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == [*sources, ""]
    assert [read["source"] for read in json.loads(got.stdout)["inputs"]] == sources


def test_a_dead_host_does_not_hold_up_the_others(client: Client, folder: Path) -> None:
    """It is asked by as many as read at the same time, and by nobody after that."""
    names = copies(folder, 5)
    with Server(lambda exchange: exchange.drip(b"")) as dead:
        sources = [f"docker://{dead.address}/app:{index}" for index in range(60)]
        got = run("check", *sources, *names, "--timeout", "0.3", "-f", "json", cwd=folder)
        assert len(dead.seen) <= MOST_READERS + MOST_FAILURES
    document = json.loads(got.stdout)
    assert got.returncode == 2
    assert [judged["source"] for judged in document["judged"]] == names
    assert [unread["source"] for unread in document["unread"]] == sources
    problems = Counter(unread["problem"] for unread in document["unread"])
    assert set(problems) == {
        "the registry did not answer in full within 0.3 seconds; see --timeout",
        "not asked, since the registry did not answer for other sources",
    }
    assert got.stderr.count(b"\n") == 60


def test_tags_come_in_pages(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyRegistry, "most_tags", 3)
    with serve(TINY, tmp_path) as address:
        source = tagged(address, {f"t{index}": SERVICE for index in range(8)})
        got = client.run("check", source, "--all-tags", "-f", "json", "--no-together")
        assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == [
            f"{source}:t{index}" for index in range(8)
        ]
        monkeypatch.setattr(registry_client, "MOST_TAGS", 7)
        assert "more than 7 tags; name those that matter" in client.refused("check", source, "--all-tags")
        monkeypatch.setattr(registry_client, "MOST_PAGES", 2)
        assert "the list of tags has more than 2 pages" in client.refused("check", source, "--all-tags")


@pytest.mark.parametrize(
    ("link", "body", "problem"),
    [
        ("<http://127.0.0.1:1/v2/app/tags/list?last=a>; rel=next", b'{"tags":["a"]}', "no address for the rest"),
        ("<http://[x/v2>; rel=next", b'{"tags":["a"]}', "no address for the rest"),
        ("", b'{"tags":7}', "the list of tags: $.tags: expected"),
        ("", b"<html>", "the list of tags: "),
        ("", b'{"tags":["a b","../x",""]}', "the registry has no tag in app"),
        ("", b'{"tags":null}', "the registry has no tag in app"),
    ],
)
def test_odd_lists_of_tags(link: str, body: bytes, problem: str, client: Client) -> None:
    with Server(lambda exchange: exchange.answer(200, body, {"Link": link} if link else {})) as front:
        assert problem in client.refused("check", f"docker://{front.address}/app", "--all-tags")


def test_tags_of_images_are_counted_and_no_failure(client: Client, tmp_path: Path) -> None:
    with serve(TINY, tmp_path) as address:
        for tag in ("v1", "v2"):
            push(address, PLAIN, "team/app", tag)
        source = f"docker://{address}/team/app"
        assert "none of the tags has a cache" in client.refused("check", source, "--all-tags")
        tagged(address, {"cache-a": SERVICE, "cache-b": SERVICE})
        got = client.run("check", source, "--all-tags", "--ignore", "CD303")
        assert (got.returncode, got.stderr) == (0, b"")
        assert b"2 sources: 2 passed. 2 other tags without a cache.\n" in got.stdout
        assert b"v1" not in got.stdout
        # Somebody who names an image wants to know.
        assert client.run("check", source, f"{source}:v1", "--all-tags").returncode == 2


def test_a_repository_that_does_not_exist_yet(client: Client, registry: str) -> None:
    source = f"docker://{registry}/none"
    assert "the registry has no repository none (404)" in client.refused("check", source, "--all-tags")
    got = client.run("check", source, "--all-tags", "--missing-ok")
    assert got.returncode == 0
    assert b"There is no cache yet." in got.stdout


# Layouts and lists


def test_all_tags_of_a_layout(folder: Path) -> None:
    shutil.copytree(IMAGE_MANIFEST, folder / "cache")
    index = folder / "cache/index.json"
    parsed = json.loads(index.read_text())
    (descriptor,) = parsed["manifests"]
    parsed["manifests"] = [
        {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag in ("b", "a", "not a tag")
    ]
    index.write_text(json.dumps(parsed))
    for source in ("cache", "oci:cache"):
        got = run("check", source, SERVICE, "--all-tags", "-f", "json", cwd=folder)
        assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == [
            "oci:cache:b",
            "oci:cache:a",
            str(SERVICE),
        ]
    one = run("check", "oci:cache:a", "--all-tags", "-f", "json", cwd=folder)
    assert [judged["source"] for judged in json.loads(one.stdout)["judged"]] == ["oci:cache:a"]
    both = run("check", "cache", "--all-tags", "--tag", "a", cwd=folder)
    assert (both.returncode, both.stdout) == (2, b"")
    assert "leave out --tag" in both.stderr.decode()


def test_tags_of_a_layout_that_are_not_read(folder: Path) -> None:
    layout = Layout(folder / "cache")
    for tag in ("b", "latest", "a"):
        descriptor = layout.cache({"records": [{"digest": tag}]}, tag)
    layout.tag(descriptor, "x\x1b[31m" + "y" * 1000)
    (folder / "cache.tar").write_bytes(tar(folder / "cache"))

    def notes(*arguments: str) -> list[str]:
        inputs = json.loads(run("check", *arguments, "-f", "json", cwd=folder).stdout)["inputs"]
        return [note for read in inputs for note in read["notes"]]

    (note,) = notes("cache")
    assert note.startswith("Only the tag latest was read; 3 others were not: a, b, x\x1b[31my")
    assert note.endswith("y. --tag NAME reads another, and cachedoctor check --all-tags reads all.")
    assert len(note) < 300
    assert notes("oci:cache", SERVICE.as_posix()) == [note]
    assert notes("cache.tar") == [note.replace(", and cachedoctor check --all-tags reads all", "")]
    text = " ".join(run("check", "cache", cwd=folder).stdout.decode().split())
    assert "Only the tag latest was read; 3 others were not: a, b, x\\u{1b}[31my" in text
    assert notes("oci:cache:latest") == notes("oci:cache:a") == notes("cache", "--tag", "b") == []
    assert notes("cache", "--all-tags") == []


def test_other_names_of_what_is_read(folder: Path) -> None:
    layout = Layout(folder / "cache")
    layout.tag(layout.cache({"records": [{"digest": "a"}]}), "main")
    names = json.loads(run("check", "cache", "-f", "json", cwd=folder).stdout)["inputs"]
    assert [read["notes"] for read in names] == [[]]
    layout.cache({"records": [{"digest": "b"}]}, "old")
    (read,) = json.loads(run("check", "cache", "-f", "json", cwd=folder).stdout)["inputs"]
    assert read["notes"][0].startswith("Only the tag latest was read; 1 other was not: old. ")


def test_sources_from_a_file(folder: Path) -> None:
    names = copies(folder, 3)
    (folder / "list").write_text(f"\ufeff# caches\n\n  {names[1]}  \r\n{names[2]}\n#{names[0]}\n{names[1]}\n")
    got = run("check", names[2], "--sources-from", "list", "-f", "json", cwd=folder)
    assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == [names[2], names[1], ""]
    piped = run("check", "--sources-from", "-", "-f", "json", stdin=f"{names[0]}\n".encode(), cwd=folder)
    assert [judged["source"] for judged in json.loads(piped.stdout)["judged"]] == [names[0]]


@pytest.mark.parametrize(
    ("content", "arguments", "problem"),
    [
        (b"# nothing\n", [], "list: names no sources"),
        (b"\xff", [], "list: byte 0: expected UTF-8"),
        (b"-\n", [], "list: names standard input"),
        (b"a\0b\n", [], "list: expected the names of sources, found a NUL"),
        (b"x\n" * 3_000_000, [], "list: more than 4,194,304 bytes"),
        (b"".join(b"%d\n" % index for index in range(10_001)), [], "10,001 sources, expected at most 10,000"),
        (b"cache\n", ["-o", "list"], "list: is the list of sources itself"),
        (b"cache\n", ["-o", "cache"], "cache: is the cache itself"),
    ],
    ids=range(8),
)
def test_bad_lists_of_sources(content: bytes, arguments: list[str], problem: str, folder: Path) -> None:
    (folder / "list").write_bytes(content)
    shutil.copy(SERVICE, folder / "cache")
    got = run("check", "--sources-from", "list", *arguments, cwd=folder)
    assert (got.returncode, got.stdout) == (2, b"")
    assert got.stderr.count(b"\n") == 1
    assert problem in got.stderr.decode()


def test_standard_input_is_read_once(folder: Path) -> None:
    got = run("check", "-", "--sources-from", "-", stdin=b"x\n", cwd=folder)
    assert got.returncode == 2
    assert "standard input can be read only once" in got.stderr.decode()
    several = run("check", SERVICE, "-", *copies(folder, 3), "-f", "json", stdin=DIAMONDS.read_bytes(), cwd=folder)
    assert [judged["failed"] for judged in json.loads(several.stdout)["judged"]][:2] == [[], ["CD201"]]


# A missing or broken one does not hide the others


@pytest.fixture
def mixed(folder: Path) -> list[str]:
    """Sources of which the second is broken, and the fourth missing."""
    shutil.copy(DIAMONDS, folder / "diamonds.json")
    shutil.copy(SERVICE, folder / "service.json")
    (folder / "broken.json").write_text('{"records": 7}')
    return ["service.json", "broken.json", "diamonds.json", "gone.json"]


def test_broken_sources_do_not_hide_the_others(mixed: list[str], folder: Path) -> None:
    got = run("check", *mixed, cwd=folder)
    assert got.returncode == 2
    broken, gone = got.stderr.decode().splitlines()
    assert broken.startswith("cachedoctor: broken.json: $.records: expected")
    assert gone == "cachedoctor: gone.json: cannot read it: No such file or directory"
    text = got.stdout.decode()
    assert " ".join(text.splitlines()[:2]) == (
        "Check failed: CD201 path-explosion in diamonds.json. "
        "The check is not complete: 2 of 4 sources could not be read."
    )
    assert "4 sources: 1 failed, 1 passed, 2 could not be read" in text
    assert [row.split()[:2] for row in lines(got.stdout, "Sources") if len(row.split()) > 1] == [
        ["diamonds.json", "failed"],
        ["broken.json", "unread"],
        ["gone.json", "unread"],
        ["service.json", "passed"],
        ["all", "sources"],
    ]
    assert "No such file or directory" in text


def test_bad_certificates_do_not_hide_the_others(folder: Path) -> None:
    (folder / "bad.pem").write_text("not certificates")
    sources = ["docker://localhost:1/x:y", "docker://localhost:1/x:z"]
    got = run("check", *copies(folder, 1, DIAMONDS), *sources, "--ca-file", "bad.pem", "-f", "json", cwd=folder)
    assert got.returncode == 2
    document = json.loads(got.stdout)
    assert [judged["source"] for judged in document["judged"]] == ["000.json"]
    assert [(unread["source"], unread["problem"]) for unread in document["unread"]] == [
        (source, "bad.pem: expected certificates in PEM form for --ca-file") for source in sources
    ]


def test_an_incomplete_check_never_passes(mixed: list[str], folder: Path) -> None:
    got = run("check", *mixed[:2], cwd=folder)
    assert got.returncode == 2
    assert got.stdout.decode().startswith(
        "Check not complete: 1 of 2 sources could not be read; no errors in the others"
    )


def test_only_what_is_missing_may_be_missing(mixed: list[str], folder: Path) -> None:
    document = json.loads(run("check", *mixed, "--missing-ok", "-f", "json", cwd=folder).stdout)
    assert document["missing"] == ["gone.json"]
    (unread,) = document["unread"]
    assert (unread["source"], unread["missing"]) == ("broken.json", False)
    document = json.loads(run("check", *mixed, "-f", "json", cwd=folder).stdout)
    assert [(unread["source"], unread["missing"]) for unread in document["unread"]] == [
        ("broken.json", False),
        ("gone.json", True),
    ]
    good = [mixed[0], mixed[3]]
    assert run("check", *good, "--missing-ok", cwd=folder).returncode == 0
    assert run("check", *good, cwd=folder).returncode == 2


def test_nothing_is_reported_if_nothing_can_be_read(mixed: list[str], folder: Path) -> None:
    got = run("check", mixed[1], mixed[3], "-f", "github", "-o", "report", cwd=folder)
    assert got.returncode == 2
    assert got.stderr.count(b"\n") == 2
    assert got.stdout.count(b"::error title=cachedoctor::") == 2
    assert not (folder / "report").exists()


@pytest.mark.parametrize("format", OF_ANALYSES)
def test_every_format_names_what_could_not_be_read(format: str, mixed: list[str], folder: Path) -> None:
    got = run("check", *mixed, "-f", format, cwd=folder)
    assert got.returncode == 2
    for name in mixed[1:]:
        assert name in got.stdout.decode()
    text = got.stdout.decode()
    if format == "github":
        assert re.findall("^::error title=(.*)::", text, re.MULTILINE) == [
            "could not be read in broken.json",
            "could not be read in gone.json",
            "CD201 path-explosion in diamonds.json",
        ]
    elif format == "junit":
        root = ElementTree.fromstring(text)
        assert (root.get("errors"), root.get("failures")) == ("2", "1")
        assert [suite.get("name") for suite in root if suite.get("errors") == "1"] == [mixed[1], mixed[3]]
    elif format == "sarif":
        (invocation,) = json.loads(text)["runs"][0]["invocations"]
        assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
        assert len(invocation["toolExecutionNotifications"]) == 2
    elif format == "gitlab":
        unread = [issue for issue in json.loads(text) if issue["check_name"] == "unread"]
        assert [issue["location"]["path"] for issue in unread] == [mixed[1], mixed[3]]
        assert len({issue["fingerprint"] for issue in unread}) == 2


def test_an_incomplete_check_writes_no_baseline(mixed: list[str], folder: Path) -> None:
    got = run("check", *mixed, "--write-baseline", "base.json", cwd=folder)
    assert got.returncode == 2
    assert "base.json: left as it is, because not all sources could be read" in got.stderr.decode()
    assert not (folder / "base.json").exists()
    assert "known: no worse" not in got.stdout.decode()


# Together


@pytest.mark.parametrize(
    ("count", "flags", "together"),
    [
        (MOST_TOGETHER, [], True),
        (MOST_TOGETHER + 1, [], False),
        (MOST_TOGETHER, ["--no-together"], False),
        (MOST_TOGETHER + 1, ["--together"], True),
    ],
)
def test_a_few_are_also_judged_together(count: int, flags: list[str], together: bool, folder: Path) -> None:
    names = [*copies(folder, count - 2), *map(str, TAGS)]
    got = run("check", *names, *flags, "--fail-on", "warning", "-f", "json", cwd=folder)
    document = json.loads(got.stdout)
    assert (document["together"], got.returncode) == (together, 1 if together else 0)
    assert (document["judged"][-1]["source"] == "") is together
    assert (document["costliest"] == "") is together
    assert (document["graph"]["loops"] if "loops" in document["graph"] else len(document["loops"])) == int(together)
    text = run("check", *names, *flags, "--fail-on", "warning", cwd=folder).stdout.decode()
    assert ("Each was judged alone; --together" in text) is not together


def test_settings_decide_what_is_judged_together(folder: Path) -> None:
    (folder / ".cachedoctor.toml").write_text("together = false\n")
    assert json.loads(run("check", *TAGS, "-f", "json", cwd=folder).stdout)["together"] is False
    assert json.loads(run("check", *TAGS, "-f", "json", "--together", cwd=folder).stdout)["together"] is True


def test_figures_are_those_of_the_costliest_source(folder: Path) -> None:
    sources = [*map(str, TAGS), str(DIAMONDS), str(SERVICE)]
    document = json.loads(run("check", *sources, "--no-together", "-f", "json", cwd=folder).stdout)
    alone = json.loads(run("check", DIAMONDS, "-f", "json", cwd=folder).stdout)
    assert document["costliest"] == str(DIAMONDS)
    for key in ("graph", "loops", "cost"):
        assert document[key] == alone[key]
    assert {hotspot["input"] for hotspot in document["hotspots"]} == {2}
    assert [read["source"] for read in document["inputs"]] == sources


# The report


@pytest.mark.parametrize("width", [40, 80, 160])
def test_advice_is_given_once(width: int, folder: Path) -> None:
    names = [*copies(folder, 40, DIAMONDS), str(SERVICE)]
    shown = run("check", *names, cwd=folder, env={"COLUMNS": str(width)}).stdout.decode()
    assert (
        max(len(line) for line in shown.splitlines() if not line.startswith(("     cachedoctor ", "     docker ")))
        <= width
    )
    text = " ".join(shown.split())
    assert text.startswith("Check failed: CD201 path-explosion in 40 sources. 41 sources: 40 failed, 1 passed.")
    assert text.endswith("41 sources: 40 failed, 1 passed.")
    assert text.count(ADVICE) == 1
    assert "in 40 sources 000.json: The next export" in text
    assert "Also in 001.json, 002.json, 003.json, 004.json, 005.json, 006.json and 33 more." in text
    full = " ".join(run("check", *names, "-v", cwd=folder).stdout.decode().split())
    assert full.count(ADVICE) == 40


def test_failing_sources_come_first(folder: Path) -> None:
    names = copies(folder, 5)
    shutil.copy(DIAMONDS, folder / "x.json")
    got = run("check", *names, "x.json", "--no-together", cwd=folder)
    assert [row.split()[0] for row in lines(got.stdout, "Sources")] == ["x.json", *names]


def test_known_findings_are_no_failures(folder: Path) -> None:
    names = [*copies(folder, 2), "x.json"]
    shutil.copy(DIAMONDS, folder / "x.json")
    run("check", *names, "--write-baseline", "base.json", cwd=folder)
    got = run("check", *names, "--baseline", "base.json", cwd=folder)
    assert got.returncode == 0
    assert b"3 sources: 3 passed (1 with known findings).\n" in got.stdout
    assert [row.split()[1] for row in lines(got.stdout, "Sources")] == ["known", "passed", "passed", "sources"]
    assert ADVICE not in got.stdout.decode()


def test_a_release_without_a_loop_check_shows_no_calls(folder: Path) -> None:
    got = run("check", *TAGS, "--buildkit", "v0.25.0", cwd=folder)
    assert b"calls" not in got.stdout.partition(b"\nLimits")[0]


@pytest.mark.parametrize("format", OF_ANALYSES)
def test_machines_get_each_finding(format: str, folder: Path) -> None:
    names = copies(folder, 30, DIAMONDS)
    text = run("check", *names, "-f", format, cwd=folder).stdout.decode()
    counted: dict[str, Any] = {
        "json": lambda: len(json.loads(text)["findings"]),
        "gitlab": lambda: len(json.loads(text)),
        "sarif": lambda: len(json.loads(text)["runs"][0]["results"]),
        "junit": lambda: len(ElementTree.fromstring(text).findall("testsuite/testcase/failure")),
    }
    if format in counted:
        assert counted[format]() == 30
    else:
        assert all(name in text for name in names)


# Threads


def test_no_more_results_wait_than_there_are_readers() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    results = in_parallel(work, range(100))
    for taken, (position, result) in enumerate(results, 1):
        assert result == position**2
        assert len(begun) <= MOST_READERS + taken - 1
    assert sorted(begun) == list(range(100))


def test_what_a_reader_raises_is_a_result() -> None:
    outcomes = dict(in_parallel(lambda item: 1 // item, [0, 1]))
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert outcomes[1] == 1


class Loads:
    """What is read, in which order, and beside what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.alone: set[str] = set()
        self.kept: dict[str, int] = {}
        """How many documents there were when a source began to be read, the last time."""
        self._active = 0
        self._lock = Lock()
        self._before = self._documents()
        monkeypatch.setattr(inputs, "load", self._load)

    def _load(self, source: str, **options: Any) -> Any:
        with self._lock:
            self._active += 1
            alone = self._active == 1
        try:
            self.kept[source] = self._documents() - self._before
            documents = load(source, **options)
        finally:
            with self._lock:
                self._active -= 1
        self.done.append(source)
        if alone and not memory.is_shared():
            self.alone.add(source)
        return documents

    @staticmethod
    def _documents() -> int:
        return sum(type(item) is CacheDocument for item in gc.get_objects())


def test_what_takes_more_than_its_share_is_read_alone(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a layout, archives and a tag with a config of 1 MB, of which only 1 MiB may be in work at a time."""
    monkeypatch.setattr(inputs, "share_of", lambda readers: 1 << 20)
    loads = Loads(monkeypatch)
    small = copies(folder, 20)
    shutil.copy(TOO_LARGE, folder / "file")
    Layout(folder / "layout").cache(json.loads(TOO_LARGE.read_bytes()))
    (folder / "tar").write_bytes(tar(folder / "layout"))
    (folder / "tar.gz").write_bytes(gzip.compress(tar(folder / "layout")))
    with serve(TINY, folder) as address:
        repository = tagged(address, {"large": TOO_LARGE, "small": SERVICE})
        with Server(forward(address)) as front:
            registry = [f"{repository.replace(address, front.address)}:{tag}" for tag in ("large", "small")]
            large = [registry[0], "file", "layout", "tar", "tar.gz"]
            sources = [*large, *small, registry[1]]
            got = run("check", *sources, "--no-together", "--ignore", "CD303", "-f", "json", cwd=folder)
            blobs = Counter(path for path in front.paths if "/blobs/" in path)
    assert got.stderr == b""
    document = json.loads(got.stdout)
    assert [judged["source"] for judged in document["judged"]] == sources
    assert loads.done[-5:] == large
    assert loads.alone == set(large)
    assert set(blobs.values()) == {1}
    # Beside the costliest so far.
    assert max(loads.kept[source] for source in large) == 1


def test_standard_input_may_take_more_than_its_share(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "share_of", lambda readers: 1 << 20)
    names = copies(folder, 3)
    got = run("check", names[0], "-", *names[1:], "-f", "json", stdin=TOO_LARGE.read_bytes(), cwd=folder)
    assert got.stderr == b""
    assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == [names[0], "-", *names[1:], ""]


def test_what_the_others_leave_no_room_for_is_read_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the others had taken all memory while they were read."""
    monkeypatch.setattr(sources_json, "lacking", lambda need: 0 if memory.is_shared() else None)
    names = copies(folder, 12)
    got = run("check", *names, "-f", "json", cwd=folder)
    assert (got.stderr, len(json.loads(got.stdout)["judged"])) == (b"", 12)
    monkeypatch.setattr(sources_json, "lacking", lambda need: 0)
    got = run("check", *names, cwd=folder)
    assert got.returncode == 2
    assert got.stderr.count(b"reading it takes about 0 MiB of memory, and 0 MiB are left\n") == 12


def test_broken_sources_are_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors keep nothing of what was read when they were raised."""
    monkeypatch.setattr(inputs, "share_of", lambda readers: 1 << 16)
    large = (MANIFESTS / "accumulated.json").read_bytes()[:-1]

    def peak(count: int) -> int:
        names = [f"{index}.json" for index in range(count)]
        for name in names:
            (folder / name).write_bytes(large)
        tracemalloc.start()
        try:
            got = run("check", *names, cwd=folder)
            assert got.stderr.count(b"it seems to be cut short\n") == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(8) < peak(2) + 2 * len(large)


@pytest.mark.slow
def test_sources_that_fit_alone_are_read_with_little_memory(folder: Path) -> None:
    """Eight configs of 17 MB, with address space for one and what is kept of another."""
    records: list[dict[str, Any]] = [{"digest": f"sha256:{0:064}"}]
    records += [{"digest": f"sha256:{i:064}", "inputs": [[{"link": max(0, i - 1 - i % 7)}]]} for i in range(1, 150_000)]
    (folder / "large").write_text(json.dumps({"layers": [], "records": records}, separators=(",", ":")))
    names = copies(folder, 8, folder / "large")
    most = 1_200_000 << 10
    got = subprocess.run(
        [sys.executable, "-m", "cachedoctor", "check", *names, "--no-together", "-f", "json"],
        capture_output=True,
        check=False,
        timeout=240,
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert (got.returncode, got.stderr) == (1, b"")
    assert [judged["source"] for judged in json.loads(got.stdout)["judged"]] == names


def test_nobody_shares_an_error_with_another_source(client: Client, tmp_path: Path) -> None:
    """Each says its own name, although the credentials are looked up once."""
    with serve(TINY, tmp_path, private=True) as address:
        client.config(credsStore="no/name")
        sources = [f"docker://{address}/app:{index}" for index in range(5)]
        got = client.run("check", *sources)
    assert got.returncode == 2
    assert BASIC.encode() not in got.stderr
    for source, line in zip(sources, got.stderr.decode().splitlines(), strict=True):
        assert line.startswith(f"cachedoctor: {source}: ")
        assert line.count("docker://") == 1


def test_progress_goes_on_while_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred short steps are shown as one long one."""
    times = iter((4.0, 5.0, 6.0))
    monkeypatch.setattr(output, "monotonic", lambda: next(times))
    ticker = output._Ticker()
    for step, since in (("reading 9 of 100", 5.0), ("reading 10 of 100", 5.0), ("merging records", 6.0)):
        ticker.start(step)
        assert (ticker._step, ticker._since) == (step, since)
