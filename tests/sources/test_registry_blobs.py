"""`--verify-blobs` asks a registry for each blob, a few at a time, and says what was not answered."""

from __future__ import annotations

import json
from threading import Lock
from time import sleep

import pytest

from cachedoctor.sources import Access, load
from cachedoctor.sources.registry import blobs
from cachedoctor.sources.registry.blobs import PARALLEL
from tests.registries import Client, push
from tests.servers import Exchange, Respond, Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST

VERIFY = "--verify-blobs"


def heads(server: Server) -> list[str]:
    return [exchange.path.rpartition("/")[2] for exchange in server.seen if exchange.method == "HEAD"]


def blobs_answered(address: str, answers: dict[str, Respond], otherwise: Respond | None = None) -> Respond:
    """A registry that gives other answers if it is asked whether it has some blobs."""

    def respond(exchange: Exchange) -> None:
        usual = otherwise if otherwise and exchange.method == "HEAD" else forward(address)
        name = exchange.path.rpartition("/")[2]
        (answers.get(name, usual) if exchange.method == "HEAD" else usual)(exchange)

    return respond


@pytest.mark.parametrize("tag", ["image-manifest", "manifest-list", "inline"])
def test_asks_for_each_blob_once_and_only_on_request(registry: str, client: Client, tag: str) -> None:
    with Server(forward(registry)) as front:
        url = f"docker://{front.address}/app:{tag}"
        (read,) = client.json("analyze", url)["inputs"]
        assert (heads(front), read["blobs"]) == ([], None)
        report = client.json("analyze", url, VERIFY)
        assert sorted(heads(front)) == sorted(load(url)[0].blobs or ())
        assert report["inputs"][0]["blobs"] == {
            "place": "registry",
            "listed": read["layers"],
            "absent": [],
            "wrong_size": [],
            "unknown": 0,
        }
        assert not [finding for finding in report["findings"] if finding["rule"] == "CD303"]


@pytest.mark.parametrize("command", ["analyze", "check"])
def test_finds_blobs_that_are_gone_or_have_another_size(registry: str, client: Client, command: str) -> None:
    first, second = sorted(load(f"docker://{registry}/app:manifest-list")[0].blobs or ())[:2]
    answers: dict[str, Respond] = {
        first: lambda exchange: exchange.answer(404),
        second: lambda exchange: exchange.answer(200, b"x"),
    }
    with Server(blobs_answered(registry, answers)) as front:
        report = client.json(command, f"docker://{front.address}/app:manifest-list", VERIFY)
    found = report["inputs"][0]["blobs"]
    assert (found["absent"], found["wrong_size"]) == ([first], [second])
    (message,) = [finding["message"] for finding in report["findings"] if finding["rule"] == "CD303"]
    assert "1 blob that the manifest lists is not in the registry and 1 blob in the registry has the wrong" in message
    (advice,) = [finding["help"] for finding in report["findings"] if finding["rule"] == "CD303"]
    assert "app:manifest-list-repaired --verify-blobs\n" in advice


def test_all_blobs_may_be_gone(registry: str, client: Client) -> None:
    """In a folder they would have been left out; a registry refuses a manifest without its blobs."""
    with Server(blobs_answered(registry, {}, lambda exchange: exchange.answer(404))) as front:
        report = client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)
    (finding,) = [finding for finding in report["findings"] if finding["rule"] == "CD303"]
    assert (finding["severity"], len(finding["records"])) == ("warning", 8)


def test_repair_leaves_out_what_is_gone(registry: str, client: Client) -> None:
    push(registry, MANIFEST_LIST, "gone", "main")
    (document,) = load(f"docker://{registry}/gone:main")
    leaf = next(blob for layer, blob in enumerate(document.config.blobs) if layer not in document.config.parents)
    with Server(blobs_answered(registry, {leaf: lambda exchange: exchange.answer(404)})) as front:
        url = f"docker://{front.address}/gone"
        assert VERIFY in client.refused("repair", f"{url}:main", "-o", f"{url}:new")
        report = client.json("repair", f"{url}:main", "-o", f"{url}:new", VERIFY)
        assert report["removed"]["results"]["missing_blob"] == 1
        assert report["lost"] == {"records": 0, "results": 0}
        (written,) = load(f"{url}:new", access=Access(verify_blobs=True))
    assert leaf not in written.config.blobs
    assert written.presence
    assert not written.presence.unusable


@pytest.mark.parametrize("status", [403, 405, 500])
def test_what_was_not_answered_is_said(registry: str, client: Client, status: int) -> None:
    with Server(blobs_answered(registry, {}, lambda exchange: exchange.answer(status))) as front:
        report = client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)
        text = client.run("analyze", f"docker://{front.address}/app:manifest-list", VERIFY).stdout.decode()
    read = report["inputs"][0]
    assert (read["blobs"]["unknown"], read["blobs"]["absent"]) == (8, [])
    (note,) = read["notes"]
    assert note.startswith("8 blobs that the manifest lists could not be looked up in the registry: ")
    assert str(status) in note
    assert "8 blobs that the manifest lists could not be looked up in the registry" in text
    assert report["verdict"] == "ok"


def test_gives_up_after_a_few_failures(registry: str, client: Client) -> None:
    with Server(blobs_answered(registry, {}, lambda exchange: exchange.answer(405))) as front:
        client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)
        # One more request may be under way for each of the others at the same time.
        assert blobs.MOST_FAILURES <= len(heads(front)) <= blobs.MOST_FAILURES + PARALLEL - 1


def test_repair_says_what_was_not_answered(registry: str, client: Client) -> None:
    with Server(blobs_answered(registry, {}, lambda exchange: exchange.answer(405))) as front:
        got = client.run("repair", f"docker://{front.address}/app:manifest-list", VERIFY, "--dry-run")
    assert got.returncode == 0
    assert b"8 blobs that the manifest lists could not be looked up in the registry" in got.stderr


def test_a_size_that_is_not_told_is_no_other_size(registry: str, client: Client) -> None:
    with Server(blobs_answered(registry, {}, lambda exchange: exchange.begin(200, {"connection": "close"}))) as front:
        report = client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)
    assert report["inputs"][0]["blobs"]["wrong_size"] == []
    assert report["inputs"][0]["blobs"]["unknown"] == 0


def test_asks_for_no_more_than_a_bounded_number(registry: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "MOST_ASKED", 3)
    with Server(forward(registry)) as front:
        (read,) = client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)["inputs"]
        assert len(heads(front)) == 3
    assert read["blobs"]["unknown"] == 5
    assert read["notes"] == [
        "5 blobs that the manifest lists could not be looked up in the registry: only the first 3 are asked for."
    ]


def test_asks_for_a_few_at_the_same_time(registry: str, client: Client) -> None:
    lock, now, most = Lock(), 0, 0

    def count(exchange: Exchange) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        sleep(0.02)
        with lock:
            now -= 1
        forward(registry)(exchange)

    with Server(blobs_answered(registry, {}, count)) as front:
        got = client.run("analyze", f"docker://{front.address}/app:manifest-list", VERIFY, "--format", "json")
    assert (got.stderr, json.loads(got.stdout)["inputs"][0]["blobs"]["unknown"]) == (b"", 0)
    assert 1 < most <= PARALLEL


def test_asks_with_the_credentials_of_docker_login(private: str, client: Client) -> None:
    client.log_in(private)
    report = client.json("analyze", f"docker://{private}/team/app:main", VERIFY)
    assert report["inputs"][0]["blobs"]["unknown"] == 0
    assert not [finding for finding in report["findings"] if finding["rule"] == "CD303"]


def test_a_token_may_expire_in_between(registry: str, client: Client) -> None:
    """Several requests may notice that at the same time; each is made again with the new token."""
    lock, asked = Lock(), 0

    def answer(exchange: Exchange) -> None:
        nonlocal asked
        with lock:
            asked += 1
            valid = "first" if asked <= 5 else "second"
        if exchange.path.startswith("/token"):
            exchange.answer(200, json.dumps({"token": valid}).encode())
        elif exchange.headers.get("authorization") != f"Bearer {valid}":
            challenge = f'Bearer realm="http://{front.address}/token",service="s"'
            exchange.answer(401, b"{}", {"WWW-Authenticate": challenge})
        else:
            forward(registry)(exchange)

    with Server(answer) as front:
        (read,) = client.json("analyze", f"docker://{front.address}/app:manifest-list", VERIFY)["inputs"]
    assert (read["blobs"]["unknown"], read["blobs"]["absent"]) == (0, [])


def test_the_option_changes_nothing_for_a_folder(client: Client) -> None:
    for layout in (IMAGE_MANIFEST, INLINE):
        assert client.json("analyze", layout, VERIFY) == client.json("analyze", layout)
