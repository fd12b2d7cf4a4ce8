"""Connections to registries, direct or through a proxy; and what can be wrong with them, in words."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Collection, Mapping
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3
from urllib3 import exceptions

from cachedoctor.errors import InputError, reason
from cachedoctor.io.files import is_folder
from cachedoctor.sources.registry.reference import is_loopback

_HEADERS = {"User-Agent": "cachedoctor", "Accept-Encoding": "identity"}
_LOST = (ConnectionError, http.client.HTTPException, exceptions.ProtocolError)
_TIMED_OUT = (exceptions.TimeoutError, TimeoutError)
_IDLE = 32
"""Connections to one host that are kept for the next requests; sources that are read at the same time need fewer."""
_BAD_PROXY = "the proxy that the environment names cannot be used"


class RegistryError(InputError):
    """What is wrong at a registry; foreign words in it have been made harmless (`Transport.harmless`)."""


class Unreachable(RegistryError):
    """There is no connection to the registry, so that nothing was asked for."""


class Unanswered(RegistryError):
    """A request without a complete answer: what it asked for may have been done nonetheless."""


class Dropped(Unanswered):
    """A connection that was lost, and may last the next time."""


class Connections:
    """Sends requests, one by one and unchanged: no redirects, no retries, no cookies, no `~/.netrc`.

    Proxies are those of the environment, but this machine itself is never reached through one. Certificates are
    checked against `ca_file`, or what `$REQUESTS_CA_BUNDLE` or `$CURL_CA_BUNDLE` names, or the package `certifi`.
    """

    def __init__(self, ca_file: str | None) -> None:
        """Raises `InputError` if there are no certificates in the file."""
        self._ca_file = ca_file
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._lock = Lock()
        if ca_file is not None:
            _check_certificates(ca_file)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> urllib3.BaseHTTPResponse:
        """The head of the answer; its body is read from it. No single wait takes longer than `seconds`.

        Raises whatever urllib3 and http.client raise: see `explained`.
        """
        return self._pool(url).urlopen(
            method,
            url,
            body=body,
            headers={**_HEADERS, **headers},
            timeout=urllib3.Timeout(connect=seconds, read=seconds),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The connections to the host of a URL, or to the proxy for it."""
        scheme, proxy = urlsplit(url).scheme, proxy_for(url)
        with self._lock:
            if (scheme, proxy) not in self._pools:
                options: dict[str, Any] = {"maxsize": _IDLE}
                if "https" in (scheme, proxy.partition("://")[0].lower()):
                    options["ssl_context"] = self._tls()
                self._pools[scheme, proxy] = _through(proxy, options) if proxy else urllib3.PoolManager(**options)
            return self._pools[scheme, proxy]

    def _tls(self) -> ssl.SSLContext:
        bundle = self._ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        if not bundle:
            import certifi

            bundle = certifi.where()
        if is_folder(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)


def proxy_for(url: str) -> str:
    """The proxy that the environment names for a URL, empty if there is none.

    As with Go, and so with docker, there is none for this machine: a proxy would see the password, sent by plain HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies_environment()
    if is_loopback(host) or proxy_bypass(parts.netloc) or _is_in(host, proxies.get("no", "")):
        return ""
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _is_in(host: str, no_proxy: str) -> bool:
    """Whether an address is in a network that `NO_PROXY` names, such as `10.0.0.0/8`."""
    from ipaddress import ip_address, ip_network

    for network in no_proxy.split(","):
        try:
            if "/" in network and ip_address(host) in ip_network(network.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _through(proxy: str, options: Mapping[str, Any]) -> urllib3.PoolManager:
    try:
        user, at, _ = urlsplit(proxy).netloc.rpartition("@")
        login = urllib3.make_headers(proxy_basic_auth=unquote(user)) if at else None
        return urllib3.ProxyManager(proxy, proxy_headers=login, **options)
    except (exceptions.HTTPError, ValueError) as error:
        raise RegistryError(_BAD_PROXY) from error


def explained(error: Exception, host: str) -> RegistryError | None:
    """What an exception of `Connections.send`, or of reading an answer, means; `None` if it is a time-out.

    Its own text is not shown, since it may have a URL with secrets in it. `host` has to be harmless.
    """
    causes = _causes(error)
    if isinstance(error, exceptions.ProxyError):
        return Unreachable(_BAD_PROXY)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return Unreachable(_tls_problem(cause))
    if _any(causes, exceptions.NameResolutionError):
        return Unreachable(f"there is no host {host!r}")
    if _any(causes, ConnectionRefusedError):
        return Unreachable(f"nothing listens at {host}: the connection is refused")
    # To urllib3, any failure to connect is a time-out as well.
    if _any([cause for cause in causes if not isinstance(cause, exceptions.NewConnectionError)], *_TIMED_OUT):
        return None
    if _any(causes, *_LOST):
        return Dropped("the connection was lost, or the answer is not HTTP")
    reasons = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return Unreachable(f"cannot reach the registry: {reasons[-1] if reasons else type(error).__name__}")


def _causes(error: BaseException) -> list[BaseException]:
    """An exception and what it was made from, each once."""
    causes: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        cause = pending.pop()
        if cause is None or cause in causes:
            continue
        causes.append(cause)
        inner = [part for part in (*cause.args, getattr(cause, "reason", None)) if isinstance(part, BaseException)]
        pending += [*inner, cause.__cause__, cause.__context__]
    return causes


def _any(causes: Collection[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _tls_problem(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); --ca-file names the CA that signed it"
    hint = "; if it speaks plain HTTP: --plain-http" if "WRONG_VERSION_NUMBER" in str(error.reason) else ""
    why = str(error.reason or "handshake failed").replace("_", " ").lower()
    return f"TLS failed ({why}){hint or '; see --ca-file and --plain-http'}"


def _check_certificates(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise InputError("expected certificates in PEM form for --ca-file", source=path) from error
    except OSError as error:
        raise InputError(f"cannot read it: {reason(error)}", source=path) from error
