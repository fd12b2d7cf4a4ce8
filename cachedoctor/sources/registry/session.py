"""HTTP that is bounded: in time, in bytes, in redirects, and in where credentials go."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions

from cachedoctor.errors import InputError
from cachedoctor.sources.interface import Access
from cachedoctor.sources.registry.reference import is_loopback
from cachedoctor.sources.registry.words import harmless

MOST_ANSWER_BYTES = 1 << 20
"""Bytes of an answer that is neither a blob nor a manifest, such as a token."""
MOST_ERROR_BYTES = 64 << 10
"""Bytes that are read of an answer that tells of an error."""
MOST_REDIRECTS = 5
ATTEMPTS = 4
"""How often a request is made at most."""
BACKOFF_SECONDS = 0.5
"""Before the second attempt; twice as long before each further one."""
BUSY = frozenset({429, 500, 502, 503, 504})

_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_TIME_OUTS = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
_NO_TIME_OUT = urllib3.exceptions.NewConnectionError
"""To urllib3 it is one, whatever the reason."""

T = TypeVar("T")
Origin = tuple[str, str, int | None]


class RegistryError(InputError):
    """What is wrong at a registry, with foreign words made harmless by `Session.foreign`."""


class Unanswered(RegistryError):
    """A request without a whole answer: what it asked for may be done nonetheless."""


class Dropped(Unanswered):
    """A connection that was lost, and may hold the next time."""


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL: whoever has another one sees no credentials.

    Raises `ValueError`, also for a user name or a backslash: before `\\@`, urllib3 sees a host, and urllib a user.
    """
    parts = urlsplit(url)
    if parts.username is not None or "\\" in url:
        raise ValueError("not the same place for everybody")
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Session(requests.Session):
    """A session of `requests` of which every answer has come in whole, within its limits.

    Proxies are those of the environment, but nothing on this machine is reached by one. What it raises is `InputError`.
    """

    def __init__(self, source: str, access: Access, seconds: float) -> None:
        super().__init__()
        self._source = source
        self._timeout = access.timeout
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._host = ""
        self._secrets: set[str] = set()
        self._verify: bool | str = access.ca_file or True
        self.headers.update({"User-Agent": "cachedoctor", "Accept-Encoding": "identity"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Without a handler, requests puts what it finds in ~/.netrc over our own header.
        self.auth = lambda request: request
        if access.ca_file is not None:
            _check_certificates(access.ca_file)

    @property
    def remaining(self) -> float:
        """Seconds that are left for one request. Raises `InputError` where none are."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise self._late()
        return min(self._timeout, left)

    def keep_secret(self, *secrets: str | None) -> None:
        """Show nobody these words where foreign words are shown."""
        self._secrets.update(filter(None, secrets))

    def foreign(self, text: str) -> str:
        """Foreign words as they may be shown: without any secret, and without any command to a CI system."""
        return harmless(text, self._secrets)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Close the session in the end; what is found wrong until then is told in harmless words.

        Raises `InputError`.
        """
        with self:
            try:
                yield
            except RegistryError:
                raise
            except InputError as error:
                raise RegistryError(
                    self.foreign(error.problem), self.foreign(error.where), source=error.source
                ) from error

    def request(
        self,
        method: Any,
        url: Any,
        *_: Any,
        limit: int = MOST_ANSWER_BYTES,
        before: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> Any:
        """As `requests.Session.request`, with retries while the registry is busy or the connection is lost.

        `limit` are the bytes that a good answer may have; `before` is called before each attempt. Raises `InputError`.
        """
        attempt = 1
        while True:
            last = attempt == ATTEMPTS
            wait = BACKOFF_SECONDS * 2 ** (attempt - 1)
            before()
            try:
                response = self._in_time(lambda: self._follow(method, url, limit, options))
                if response.status_code not in BUSY or last:
                    return response
                wait = max(wait, _retry_after(response))
                if time.monotonic() + wait >= self._until:
                    raise self.problem(
                        f"the registry answers {response.status_code} and asks to come back in {wait:,.0f} seconds"
                    )
            except Dropped:
                if last or method not in ("GET", "HEAD"):
                    raise
            time.sleep(wait)
            attempt += 1

    def _in_time(self, work: Callable[[], T]) -> T:
        """Do work in a thread that is left behind where it takes too long, so that its request may still be done.

        Time-outs of sockets bound each wait, not their sum: a server may send a header byte by byte. Raises what the
        work raises, and `InputError` where it takes too long.
        """
        outcome: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                outcome.put((work(), None))
            except BaseException as error:
                outcome.put((None, error))

        seconds = self.remaining
        Thread(target=run, daemon=True).start()
        try:
            value, error = outcome.get(timeout=seconds)
        except Empty:
            raise self._late() from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def _follow(self, method: str, url: str, limit: int, options: dict[str, Any]) -> requests.Response:
        """One request, and the redirects of what is only read."""
        headers = dict(options.get("headers") or {})
        sent = {name: value for name, value in options.items() if name in ("params", "data", "json")}
        try:
            return self._hops(method, url, limit, headers, sent)
        except InputError:
            raise
        # The libraries below do not say all that odd bytes can bring up; none of it is worth a traceback.
        except Exception as error:
            raise self._reason(error) from error

    def _hops(
        self, method: str, url: str, limit: int, headers: dict[str, str], options: dict[str, Any]
    ) -> requests.Response:
        first = origin(url)
        for _ in range(MOST_REDIRECTS + 1):
            response = self._once(method, url, limit, headers, options)
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not target or method not in ("GET", "HEAD"):
                return response
            url, there = self._redirect(url, target)
            if first[0] == "https" and there[0] != "https":
                raise self.problem("the registry redirects from https to http, which is refused")
            if there != first:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            options = {name: value for name, value in options.items() if name != "params"}
        raise self.problem(f"more than {MOST_REDIRECTS} redirects")

    def get_redirect_target(self, resp: Any) -> None:
        """No redirect for `requests`: it would read the body whole and unpacked, even where it is to follow none."""

    def _redirect(self, url: str, target: str) -> tuple[str, Origin]:
        """Where a redirect leads (RFC 9110, "Location"). Raises `InputError`."""
        try:
            url = urljoin(url, target)
            there = origin(url)
        except ValueError as error:
            raise self.problem("the registry redirects to what is no HTTP address") from error
        if there[0] not in ("http", "https") or not there[1]:
            raise self.problem("the registry redirects to what is no HTTP address")
        return url, there

    def _once(
        self, method: str, url: str, limit: int, headers: dict[str, str], options: dict[str, Any]
    ) -> requests.Response:
        seconds = self.remaining
        self._host = urlsplit(url).hostname or ""
        options = {**options, "headers": headers, "verify": self._verify, "timeout": seconds}
        if is_loopback(self._host):
            # As in Go, and so in docker: by plain HTTP a proxy would get the password of a registry that is here.
            options["proxies"] = {"no_proxy": "*"}
        response = super().request(method, url, stream=True, allow_redirects=False, **options)
        try:
            body = b"" if method == "HEAD" else self._body(response, limit, time.monotonic() + seconds)
        finally:
            response.close()
        response._content = body
        response.encoding = "utf-8"
        return response

    def _body(self, response: requests.Response, limit: int, until: float) -> bytes:
        """The body as it was sent; of an error no more than its beginning."""
        good = response.ok
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if good and encoding not in ("", "identity"):
            raise self.problem(f"the registry sends {self.foreign(encoding[:40])!r}, which was not asked for")
        limit = limit if good else MOST_ERROR_BYTES
        announced = response.headers.get("Content-Length", "")
        if good and announced.isdecimal() and int(announced[:20]) > limit:
            raise self.problem(f"the registry sends {int(announced[:20]):,} bytes, expected at most {limit:,}")
        data = bytearray()
        while part := response.raw.read1(_CHUNK, decode_content=False):
            data += part
            if len(data) > limit:
                if good:
                    raise self.problem(f"the registry sends more than the expected {limit:,} bytes")
                return bytes(data[:limit])
            if time.monotonic() > until:
                raise self._late()
        return bytes(data)

    def _late(self) -> InputError:
        if time.monotonic() >= self._until:
            return Unanswered(f"the registry took more than {self._seconds:g} seconds in all", source=self._source)
        problem = f"the registry did not answer in full within {self._timeout:g} seconds; see --timeout"
        return Unanswered(problem, source=self._source)

    def problem(self, text: str, *, missing: bool = False) -> RegistryError:
        """A reason that names the source; what is foreign in the text has to be `foreign` already."""
        return RegistryError(text, source=self._source, missing=missing)

    def _reason(self, error: BaseException) -> InputError:
        """What to say of an exception; its own text can hold a URL with secrets in it."""
        causes = list(_causes(error))
        if isinstance(error, requests.exceptions.ProxyError):
            return self.problem("the proxy that the environment names cannot be used")
        for cause in causes:
            if isinstance(cause, ssl.SSLError):
                return self.problem(_tls(cause))
        if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
            return self.problem(f"there is no host {self.foreign(self._host)!r}")
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return self.problem(f"nothing listens at {self.foreign(self._host)}: the connection is refused")
        if any(isinstance(cause, _TIME_OUTS) and not isinstance(cause, _NO_TIME_OUT) for cause in causes):
            return self._late()
        lost = (ConnectionError, http.client.HTTPException, urllib3.exceptions.ProtocolError)
        if any(isinstance(cause, lost) for cause in causes):
            return Dropped("the connection was lost, or what came is no HTTP", source=self._source)
        reasons = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
        return self.problem(f"cannot reach the registry: {reasons[-1] if reasons else type(error).__name__}")


def _causes(error: BaseException | None) -> list[BaseException]:
    """An exception and what it was made from, each once."""
    found: list[BaseException] = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or one in found:
            continue
        found.append(one)
        inner = [part for part in (*one.args, getattr(one, "reason", None)) if isinstance(part, BaseException)]
        pending += [*inner, one.__cause__, one.__context__]
    return found


def _tls(error: ssl.SSLError) -> str:
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
        raise InputError(f"cannot read it: {error.strerror or error}", source=path) from error


def _retry_after(response: requests.Response) -> float:
    """Seconds that the registry asks to wait (RFC 9110, "Retry-After"), 0 where it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
