"""Credentials, tokens, redirects, TLS and proxies: what is sent to whom."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources import Access
from cachedoctor.sources.registry import credentials
from cachedoctor.sources.registry.client import Repository
from cachedoctor.sources.registry.connections import proxy_for
from cachedoctor.sources.registry.reference import parse
from tests.registries import BASIC, PASSWORD, SECRETS, USER, Client
from tests.servers import Exchange, Respond, Server, forward
from tests.sources.tiny_registry import error

TLS = Path(__file__).parent / "tls"
APP = "team/app:main"


def helper(folder: Path, answer: str, code: int = 0) -> str:
    """Write a credential helper `test` that records what it is asked for; returns a PATH with it."""
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\ncat > {folder}/asked\nprintf '%s' '{answer}'\nexit {code}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_uses_what_docker_login_left(private: str, client: Client) -> None:
    client.log_in(private)
    with Server(forward(private)) as front:
        client.log_in(front.address)
        assert client.json("analyze", f"docker://{front.address}/{APP}")["inputs"][0]["records"] == 15
        assert len(front.paths) == 3
        assert "authorization" not in front.seen[0].headers


@pytest.mark.parametrize("key", ["http://{}", "https://{}/v1/", "{}/"])
def test_reads_keys_of_older_docker_versions(private: str, client: Client, key: str) -> None:
    client.config(auths={key.format(private): {"username": USER, "password": PASSWORD}, "other.example.com": {}})
    assert client.json("analyze", f"docker://{private}/{APP}")["verdict"] == "ok"


def test_the_exact_name_wins(private: str, client: Client) -> None:
    client.config(auths={f"https://{private}/v1/": {"username": USER, "password": "old"}, private: {"auth": BASIC}})
    assert client.json("analyze", f"docker://{private}/{APP}")["verdict"] == "ok"


def test_says_what_to_do_without_credentials(private: str, client: Client) -> None:
    line = client.refused("analyze", f"docker://{private}/{APP}")
    assert f"docker login {private}" in line
    assert str(client.docker_config / "config.json") in line
    client.config(auths={"other.example.com": {"auth": BASIC}})
    assert f"there are no credentials for {private} in " in client.refused("analyze", f"docker://{private}/{APP}")


def test_a_wrong_password_is_sent_once(private: str, client: Client) -> None:
    with Server(forward(private)) as front:
        client.config(auths={front.address: {"username": USER, "password": "wrong-guess-7"}})
        line = client.refused("analyze", f"docker://{front.address}/{APP}")
        assert "access denied (401) with the credentials for" in line
        assert "wrong-guess-7" not in line
        assert len(front.paths) == 2


@pytest.mark.parametrize("named", ["credsStore", "credHelpers"])
def test_credential_helpers(private: str, client: Client, tmp_path: Path, named: str) -> None:
    client.config(**{named: "test" if named == "credsStore" else {private: "test"}})
    path = helper(tmp_path, json.dumps({"Username": USER, "Secret": PASSWORD}))
    assert client.json("analyze", f"docker://{private}/{APP}", PATH=path)["verdict"] == "ok"
    assert (tmp_path / "asked").read_text() == private


def test_helpers_that_fail(private: str, client: Client, tmp_path: Path) -> None:
    client.config(credsStore="test")
    path = helper(tmp_path, "credentials not found", code=1)
    assert "docker-credential-test has none" in client.refused("analyze", f"docker://{private}/{APP}", PATH=path)
    path = helper(tmp_path, f"{PASSWORD} is not JSON")
    assert "docker-credential-test: byte 0: expected JSON" in client.refused(
        "analyze", f"docker://{private}/{APP}", PATH=path
    )
    client.config(credsStore="none", auths={private: {"auth": BASIC}})
    assert client.json("analyze", f"docker://{private}/{APP}")["verdict"] == "ok"
    client.config(credsStore="none")
    assert "docker-credential-none cannot be run" in client.refused("analyze", f"docker://{private}/{APP}")
    client.config(credsStore="../../bin/sh")
    assert "is not the name of a credential helper" in client.refused("analyze", f"docker://{private}/{APP}")


def test_a_public_registry_asks_no_helper(registry: str, client: Client, tmp_path: Path) -> None:
    client.config(credsStore="test")
    client.json("analyze", f"docker://{registry}/app:inline", PATH=helper(tmp_path, "{}"))
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"auths":[]}', '{"auths":{"HOST":{"auth":"open-sesame-5"}}}'])
def test_a_malformed_config_is_named_and_not_quoted(private: str, client: Client, content: str) -> None:
    (client.docker_config / "config.json").write_text(content.replace("HOST", private))
    line = client.refused("analyze", f"docker://{private}/{APP}")
    assert f"{client.docker_config}/config.json: " in line


def test_a_config_that_is_a_pipe_is_not_waited_for(private: str, client: Client) -> None:
    os.mkfifo(client.docker_config / "config.json")
    assert "it is neither a regular file nor a folder" in client.refused("analyze", f"docker://{private}/{APP}")


def test_finds_the_config_of_docker(private: str, client: Client, tmp_path: Path) -> None:
    client.config(auths={private: {"auth": BASIC}})
    client.docker_config.rename(tmp_path / ".docker")
    url = f"docker://{private}/{APP}"
    assert client.json("analyze", url, DOCKER_CONFIG="", HOME=str(tmp_path))["verdict"] == "ok"
    assert "/none/.docker/config.json" in client.refused("analyze", url, DOCKER_CONFIG="", HOME="/none")
    file = str(tmp_path / ".docker/config.json")
    assert f"there is no {file}/config.json" in client.refused("analyze", url, DOCKER_CONFIG=file)


class Tokens:
    """A registry that accepts bearer tokens, and the server that gives them."""

    def __init__(self, upstream: str, realm: str = "") -> None:
        self._upstream = forward(upstream)
        self.realm = realm
        self.needs = ""
        """What the token server requires, empty for nothing."""

    def registry(self, exchange: Exchange) -> None:
        if exchange.headers.get("authorization") == "Bearer good-token":
            self._upstream(exchange)
            return
        challenge = f'Bearer realm="{self.realm}",service="the registry",scope="repository:app:pull"'
        exchange.answer(401, b"{}", {"WWW-Authenticate": challenge})

    def server(self, exchange: Exchange) -> None:
        if exchange.method == "POST":
            form = parse_qs(exchange.body.decode())
            good = form["refresh_token"] == [PASSWORD] and form["scope"] == ["repository:app:pull"]
            exchange.answer(200, b'{"access_token":"good-token"}' if good else b"{}")
            return
        query = parse_qs(urlsplit(exchange.path).query)
        assert query == {"service": ["the registry"], "scope": ["repository:app:pull"]}
        if self.needs and exchange.headers.get("authorization") != self.needs:
            exchange.answer(401, b"{}")
            return
        exchange.answer(200, b'{"token":"good-token"}')


def test_gets_a_token_without_credentials(registry: str, client: Client) -> None:
    tokens = Tokens(registry)
    with Server(tokens.registry) as front, Server(tokens.server) as server:
        tokens.realm = f"http://{server.address}/token"
        assert client.json("analyze", f"docker://{front.address}/app:inline")["verdict"] == "ok"
        assert (len(front.paths), len(server.paths)) == (3, 1)
        assert "authorization" not in server.seen[0].headers


def test_gets_a_token_for_a_password(registry: str, client: Client) -> None:
    tokens = Tokens(registry)
    tokens.needs = f"Basic {BASIC}"
    with Server(tokens.registry) as front, Server(tokens.server) as server:
        tokens.realm = f"http://{server.address}/token"
        assert "the token server gives no token" in client.refused("analyze", f"docker://{front.address}/app:inline")
        client.log_in(front.address)
        assert client.json("analyze", f"docker://{front.address}/app:inline")["verdict"] == "ok"
        assert not any(BASIC in str(exchange.headers) for exchange in front.seen)


def test_gets_a_token_for_an_identity_token(registry: str, client: Client) -> None:
    tokens = Tokens(registry)
    with Server(tokens.registry) as front, Server(tokens.server) as server:
        tokens.realm = f"http://{server.address}/token"
        client.config(auths={front.address: {"identitytoken": PASSWORD}})
        assert client.json("analyze", f"docker://{front.address}/app:inline")["verdict"] == "ok"
        assert server.paths == ["POST /token"]


def test_chooses_bearer_among_challenges(registry: str, client: Client) -> None:
    challenge = 'Basic realm="x", Bearer realm="http://{}/token",service="s",Digest realm="y"'
    with Server(lambda exchange: exchange.answer(200, b'{"token":"good-token"}')) as server:
        named = {"WWW-Authenticate": challenge.format(server.address)}

        def respond(exchange: Exchange) -> None:
            if exchange.headers.get("authorization") == "Bearer good-token":
                forward(registry)(exchange)
            else:
                exchange.answer(401, b"{}", named)

        with Server(respond) as front:
            assert client.json("analyze", f"docker://{front.address}/app:inline")["verdict"] == "ok"
        assert server.paths == ["GET /token?service=s"]


def test_asks_for_each_scope(registry: str, client: Client) -> None:
    """To mount, rights on two repositories are needed, which a challenge names in one string."""
    challenge = 'Bearer realm="http://{}/",service="s",scope="repository:a:pull,push repository:b:pull"'
    with Server(lambda exchange: exchange.answer(200, b'{"access_token":"good-token"}')) as server:
        named = {"WWW-Authenticate": challenge.format(server.address)}
        with Server(lambda exchange: exchange.answer(401, b"{}", named)) as front:
            assert "access denied (401)" in client.refused("analyze", f"docker://{front.address}/a")
        scopes = parse_qs(urlsplit(server.seen[0].path).query)["scope"]
        assert scopes == ["repository:a:pull,push", "repository:b:pull"]


def test_docker_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers by another name than it is known by; its credentials are kept under the address of its first API."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": BASIC}}}))
    repository = Repository(parse("alpine:3"), Access())
    assert repository.url == "https://registry-1.docker.io/v2/library/alpine"
    assert repository._login.credentials.basic == BASIC
    assert BASIC not in repr(repository._login.credentials)


def test_a_registry_with_tls_on_this_machine(client: Client) -> None:
    with Server(lambda exchange: exchange.answer(400, b"Client sent an HTTP request to an HTTPS server.")) as front:
        assert "--no-plain-http" in client.refused("analyze", f"docker://{front.address}/app")


def test_uses_a_registry_token_as_it_is(registry: str, client: Client) -> None:
    tokens = Tokens(registry, "http://127.0.0.1:1/")
    with Server(tokens.registry) as front:
        client.config(auths={front.address: {"registrytoken": "good-token"}})
        assert client.json("analyze", f"docker://{front.address}/app:inline")["verdict"] == "ok"


@pytest.mark.parametrize("where", ["manifests", "blobs"])
def test_credentials_do_not_follow_a_redirect(private: str, client: Client, where: str) -> None:
    """It may lead to another server, such as an object store; only the registry sees credentials."""

    def redirecting(exchange: Exchange) -> None:
        if where in exchange.path and "authorization" in exchange.headers:
            exchange.answer(307, b"", {"Location": f"http://{store.address}{exchange.path}?signature=x"})
        else:
            forward(private)(exchange)

    def stored(exchange: Exchange) -> None:
        exchange.headers["authorization"] = f"Basic {BASIC}"
        forward(private)(exchange)

    with Server(redirecting) as front, Server(lambda exchange: None) as store:
        received: list[dict[str, str]] = []
        store.respond = lambda exchange: (received.append(dict(exchange.headers)), stored(exchange))[1]  # type: ignore[func-returns-value]
        client.log_in(front.address)
        assert client.json("analyze", f"docker://{front.address}/{APP}")["verdict"] == "ok"
        assert len(received) == 1
        assert not any(secret.decode() in str(received) for secret in SECRETS)


def test_answers_no_challenge_of_another_host(client: Client) -> None:
    """The host that a redirect leads to asks for a password, but it is not the registry."""

    def asking(exchange: Exchange) -> None:
        exchange.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})

    with Server(asking) as store:
        there = f"http://{store.address}"
        with Server(lambda exchange: exchange.answer(302, b"", {"Location": there + exchange.path})) as front:
            client.log_in(front.address)
            assert "access denied (401)" in client.refused("analyze", f"docker://{front.address}/app")
            assert len(store.seen) == 1
            assert "authorization" not in store.seen[0].headers


def test_sends_nothing_to_an_ambiguous_address(client: Client) -> None:
    """Before `\\@`, one library sees a host, and another a user name in front of the registry's own host."""
    with Server(lambda exchange: exchange.answer(404, b"{}")) as elsewhere:

        def respond(exchange: Exchange) -> None:
            if "authorization" in exchange.headers:
                location = f"http://{elsewhere.address}\\@{front.address}{exchange.path}"
                exchange.answer(307, b"", {"Location": location})
            else:
                exchange.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})

        with Server(respond) as front:
            client.log_in(front.address)
            line = client.refused("analyze", f"docker://{front.address}/app")
        assert "not an HTTP address" in line
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    "url", ["docker://{0}:{1}@127.0.0.1:1/app", "docker://{0}:{1}@h.example.com/app:t", "docker://{0}:x/{1}@host/app"]
)
def test_credentials_in_a_reference_are_refused_and_not_shown(client: Client, url: str) -> None:
    line = client.refused("analyze", url.format(USER, PASSWORD))
    assert "a reference must not contain credentials" in line
    assert USER not in line


def tls_server(respond: Respond) -> Server:
    """A registry with a certificate that nobody has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return Server(respond, context)


def test_trusts_a_ca_file(registry: str, client: Client) -> None:
    with tls_server(forward(registry)) as front:
        url = f"docker://{front.address}/app:inline"
        assert client.json("analyze", url, "--ca-file", TLS / "cert.pem")["verdict"] == "ok"
        line = client.refused("analyze", url, "--no-plain-http")
        assert "its certificate is not trusted" in line
        assert "--ca-file" in line


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_trusts_the_bundle_of_the_environment(registry: str, client: Client, name: str) -> None:
    with tls_server(forward(registry)) as front:
        url = f"docker://{front.address}/app:inline"
        environment = {name: str(TLS / "cert.pem")}
        assert client.json("analyze", url, "--no-plain-http", **environment)["verdict"] == "ok"


def test_files_without_certificates(client: Client, tmp_path: Path) -> None:
    url = "docker://127.0.0.1:1/app"
    assert f"{tmp_path}/none: cannot read it" in client.refused("analyze", url, "--ca-file", tmp_path / "none")
    (tmp_path / "text").write_text("text")
    assert "expected certificates" in client.refused("analyze", url, "--ca-file", tmp_path / "text")


def test_refuses_a_redirect_from_https_to_http(client: Client) -> None:
    with (
        Server(lambda exchange: exchange.answer(200, b"{}")) as plain,
        tls_server(lambda exchange: exchange.answer(302, b"", {"Location": f"http://{plain.address}/"})) as front,
    ):
        line = client.refused("analyze", f"docker://{front.address}/app", "--ca-file", TLS / "cert.pem")
        assert "from https to http" in line
        assert plain.seen == []


def test_refuses_to_get_a_token_by_plain_http(client: Client) -> None:
    with Server(lambda exchange: exchange.answer(200, b'{"token":"x"}')) as plain:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{plain.address}/",service="s"'}
        with tls_server(lambda exchange: exchange.answer(401, b"{}", challenge)) as front:
            client.log_in(front.address)
            line = client.refused("analyze", f"docker://{front.address}/app", "--ca-file", TLS / "cert.pem")
        assert "plain HTTP" in line
        assert plain.seen == []


def test_uses_the_proxy_of_the_environment(registry: str, client: Client) -> None:
    """A proxy is asked for whole URLs, even of hosts that only it can find."""

    def proxy(exchange: Exchange) -> None:
        parts = urlsplit(exchange.path)
        assert parts.netloc == "registry.example.com:5000"
        exchange.path = parts.path
        forward(registry)(exchange)

    url = "docker://registry.example.com:5000/app:inline"
    with Server(proxy) as server:
        environment = {"http_proxy": f"http://proxy-user:{PASSWORD}@{server.address}"}
        assert client.json("analyze", url, "--plain-http", **environment)["verdict"] == "ok"
        assert len(server.seen) == 2
    line = client.refused("analyze", url, "--plain-http", **environment)
    assert "the proxy that the environment names" in line


PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://h.example.com/", {}, ""),
        ("http://h.example.com/", {"http_proxy": PROXY}, PROXY),
        ("http://h.example.com/", {"HTTP_PROXY": PROXY}, PROXY),
        ("https://h.example.com/", {"http_proxy": PROXY}, ""),
        ("https://h.example.com/", {"https_proxy": PROXY, "http_proxy": "http://x"}, PROXY),
        ("https://h.example.com/", {"ALL_PROXY": PROXY}, PROXY),
        ("https://h.example.com/", {"all_proxy": "proxy.example.com:3128"}, PROXY),
        ("https://h.example.com/", {"all_proxy": PROXY, "no_proxy": "*"}, ""),
        ("https://h.example.com/", {"all_proxy": PROXY, "no_proxy": "x, example.com"}, ""),
        ("https://h.example.com:5000/", {"all_proxy": PROXY, "NO_PROXY": ".example.com:5000"}, ""),
        ("https://h.example.com:5000/", {"all_proxy": PROXY, "NO_PROXY": ".example.com:5001"}, PROXY),
        ("https://10.1.2.3/", {"all_proxy": PROXY, "no_proxy": "10.1.0.0/16"}, ""),
        ("https://10.2.2.3/", {"all_proxy": PROXY, "no_proxy": "10.1.0.0/16, x/y"}, PROXY),
        ("https://[fd00::1]/", {"all_proxy": PROXY, "no_proxy": "fd00::/8"}, ""),
        ("https://127.0.0.1:5000/", {"all_proxy": PROXY}, ""),
        ("https://[::1]/", {"all_proxy": PROXY}, ""),
    ],
)
def test_chooses_the_proxy(url: str, environment: dict[str, str], proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://x", "http://[", "http://x:port"])
def test_refuses_a_proxy_that_it_cannot_use(client: Client, proxy: str) -> None:
    line = client.refused("analyze", "docker://h.example.com:1/app", "--plain-http", http_proxy=proxy)
    assert "the proxy that the environment names cannot be used" in line


def test_uses_no_proxy_for_this_machine(private: str, client: Client) -> None:
    """It is reached by plain HTTP, since nobody can listen on the way; a proxy would see the password."""
    client.log_in(private)
    with Server(lambda exchange: exchange.answer(404, b"{}")) as proxy:
        named = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), f"http://{proxy.address}")
        environment = {**named, "no_proxy": "", "NO_PROXY": ""}
        assert client.json("analyze", f"docker://{private}/{APP}", **environment)["verdict"] == "ok"
        assert proxy.seen == []


@pytest.mark.parametrize("realm", ["http://registry.example.com/token", "http://10.0.0.1/", "http://a.localhost/"])
@pytest.mark.parametrize("key", ["auth", "identitytoken"])
def test_sends_no_credentials_to_another_host_by_plain_http(client: Client, realm: str, key: str) -> None:
    """Not even if the registry is on this machine, as the end of a tunnel is."""
    with Server(lambda exchange: exchange.answer(200, b'{"token":"x"}')) as proxy:
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
        with Server(lambda exchange: exchange.answer(401, b"{}", challenge)) as front:
            client.config(auths={front.address: {key: BASIC}})
            line = client.refused("analyze", f"docker://{front.address}/app", http_proxy=f"http://{proxy.address}")
        assert "plain HTTP" in line
        assert proxy.seen == []


def test_a_registry_elsewhere_cannot_name_a_token_server_here(client: Client) -> None:
    """If it is reached by plain HTTP, by option, then its token server is its own origin, or HTTPS."""
    with Server(lambda exchange: exchange.answer(200, b'{"token":"x"}')) as tokens:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.address}/",service="s"'}
        with Server(lambda exchange: exchange.answer(401, b"{}", challenge)) as proxy:
            environment = {"http_proxy": f"http://{proxy.address}"}
            line = client.refused("analyze", "docker://registry.example.com/app", "--plain-http", **environment)
        assert "plain HTTP" in line
        assert tokens.seen == []


def echo(exchange: Exchange) -> None:
    """Repeat what was sent, as debugging proxies do."""
    sent = exchange.headers.get("authorization", "")
    if sent:
        exchange.answer(403, error("DENIED", f"bad header {sent}, {PASSWORD}!"))
    else:
        exchange.answer(401, b"{}", {"WWW-Authenticate": 'Basic realm="x"'})


def test_does_not_show_a_password_that_the_registry_repeats(client: Client) -> None:
    with Server(echo) as front:
        client.log_in(front.address)
        line = client.refused("analyze", f"docker://{front.address}/app")
    assert "(DENIED: bad header Basic ***, ***!)" in line


@pytest.mark.parametrize("key", ["identitytoken", "registrytoken"])
def test_does_not_show_a_token_that_the_registry_repeats(client: Client, key: str) -> None:
    """Whether configured or fetched; in a message, in a manifest, in a header, and cut."""
    secret = "secret-" + "0123456789" * 20

    def respond(exchange: Exchange) -> None:
        if "token" in exchange.path:
            exchange.answer(200, json.dumps({"access_token": "fetched-" + secret[::-1]}).encode())
        elif "authorization" not in exchange.headers:
            exchange.answer(401, b"{}", {"WWW-Authenticate": f'Bearer realm="http://{front.address}/token"'})
        else:
            answers[where[-1]](exchange, exchange.headers["authorization"].removeprefix("Bearer "))

    config = '{{"config":{{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"{0}"}},"layers":[]}}'
    where: list[str] = []
    answers: dict[str, Callable[[Exchange, str], None]] = {
        "message": lambda exchange, token: exchange.answer(403, error(token, token.upper())),
        "digest": lambda exchange, token: exchange.answer(200, config.format(token).encode()),
        "coding": lambda exchange, token: exchange.answer(200, b"{}", {"Content-Encoding": token}),
        "host": lambda exchange, token: exchange.answer(302, b"", {"Location": f"http://{token[:60]}.invalid/"}),
    }
    with Server(respond) as front:
        client.config(auths={front.address: {key: secret}})
        for position in answers:
            where.append(position)
            line = client.refused("analyze", f"docker://{front.address}/app")
            assert "***" in line
            assert secret[:20] not in line.lower()
            assert secret[::-1][:20] not in line


def test_does_not_read_netrc(private: str, client: Client, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    with Server(forward(private)) as front:
        client.refused("analyze", f"docker://{front.address}/{APP}", HOME=str(tmp_path))
        assert not any("authorization" in exchange.headers for exchange in front.seen)


def test_the_config_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"x": {"auth": BASIC}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(credentials, "MOST_BYTES", file.stat().st_size)
    assert credentials.find(["x"], "x", 1).basic == BASIC
    monkeypatch.setattr(credentials, "MOST_BYTES", file.stat().st_size - 1)
    with pytest.raises(InputError, match=f"config.json: more than {file.stat().st_size - 1} bytes"):
        credentials.find(["x"], "x", 1)
