"""HTTP with bounds: on time, on bytes, on redirects, and on where credentials are sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from urllib3 import BaseHTTPResponse

from cachedoctor.errors import InputError, NoCacheError
from cachedoctor.sources.document import Access
from cachedoctor.sources.registry.connections import Dropped, RegistryError, Unanswered, explained
from cachedoctor.sources.registry.session import Session
from cachedoctor.text import inert

MOST_ANSWER_BYTES = 1 << 20
"""Bytes of an answer that is neither a blob nor a manifest, such as a token."""
MOST_ERROR_BYTES = 64 << 10
"""Bytes that are read of the answer to a request that failed."""
MOST_REDIRECTS = 5
ATTEMPTS = 4
"""How often a request is made at most."""
BACKOFF_SECONDS = 0.5
"""How long to wait before the second attempt; twice as long before each further one."""
BUSY = frozenset({429, 500, 502, 503, 504})

HIDDEN = "***"
_KNOWN_BY = 16
"""Characters by which a secret is recognized if it is cut: fewer could be anything."""
_CHUNK = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

T = TypeVar("T")
Origin = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request, complete."""

    url: str
    """Where it came from, after redirects."""
    status: int
    headers: Mapping[str, str]
    """By name in any case."""
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request succeeded, or was redirected."""
        return self.status < 400


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL: credentials for one origin are not sent to another.

    Raises `ValueError`, also for a user name or a backslash: in `http://a\\@b`, urllib3 sees another host than urllib.
    """
    parts = urlsplit(url)
    if parts.username is not None or "\\" in url:
        raise ValueError("ambiguous")
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def is_safe(url: str) -> bool:
    """Whether a URL has a host, no user, and means the same to every library."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.port != 0 and origin(url))
    except ValueError:
        return False


class Transport:
    """Makes all requests of one source. Everything that it raises is an `InputError`."""

    def __init__(self, access: Access, seconds: float) -> None:
        self.session = access.session or Session()
        self._is_shared = access.session is not None
        self._timeout = access.timeout
        self._seconds = seconds
        self._until = monotonic() + seconds
        self._secrets = self.session.secrets
        self._connections = self.session.connections(access.ca_file)

    @property
    def remaining(self) -> float:
        """Seconds that are left for one request. Raises `Unanswered` if there are none."""
        left = self._until - monotonic()
        if left <= 0:
            raise self._late()
        return min(self._timeout, left)

    def keep_secret(self, *secrets: str | None) -> None:
        """Never show these where the registry's words are shown."""
        # A new set: another thread may be looking through the old one.
        self._secrets = self._secrets.union(filter(None, secrets))

    def harmless(self, text: str) -> str:
        """Foreign words as they may be shown: without any secret, and without a command to a CI system."""
        return harmless(text, self._secrets)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Close the connections in the end, unless other sources use them, too.

        Whatever goes wrong until then is reported in harmless words.
        """
        try:
            yield
        except RegistryError:
            raise
        except InputError as error:
            kind = NoCacheError if isinstance(error, NoCacheError) else RegistryError
            raise kind(self.harmless(error.problem), self.harmless(error.where), source=error.source) from error
        finally:
            if not self._is_shared:
                self.session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MOST_ANSWER_BYTES,
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """The answer to a request, which is repeated while the registry is busy or a connection for reading is lost.

        `limit` bounds the bytes of a good answer; `before` is called before each attempt. Raises `RegistryError`.
        """
        attempt = 1
        while True:
            last = attempt == ATTEMPTS
            wait = BACKOFF_SECONDS * 2 ** (attempt - 1)
            before()
            try:
                answer = self._in_time(lambda: self._follow(method, url, dict(headers or {}), body, limit))
                if answer.status not in BUSY or last:
                    return answer
                wait = max(wait, _retry_after(answer))
                if monotonic() + wait >= self._until:
                    asks = f"answers {answer.status} and asks to come back in {wait:,.0f} seconds"
                    raise RegistryError(f"the registry {asks}")
            except Dropped:
                if last or method not in ("GET", "HEAD"):
                    raise
            sleep(wait)
            attempt += 1

    def _in_time(self, work: Callable[[], T]) -> T:
        """Do work in a thread, which is left behind if it takes too long; what it asked for may still be done then.

        Time-outs of sockets bound each wait, not their sum: a server may send its headers byte by byte.
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

    def _follow(self, method: str, url: str, headers: dict[str, str], body: bytes | None, limit: int) -> Answer:
        """One request, and the redirects of one that only reads."""
        host = ""
        try:
            first = origin(url)
            for _ in range(MOST_REDIRECTS + 1):
                host = urlsplit(url).netloc
                answer = self._once(method, url, headers, body, limit)
                target = answer.headers.get("Location")
                if answer.status not in _REDIRECTS or not target or method not in ("GET", "HEAD"):
                    return answer
                url, there = _redirect(url, target)
                if first[0] == "https" and there[0] != "https":
                    raise RegistryError("the registry redirects from https to http, which is refused")
                if there != first:
                    headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            raise RegistryError(f"more than {MOST_REDIRECTS} redirects")
        except InputError:
            raise
        # urllib3 and http.client do not document all that odd bytes can raise; none of it is worth a traceback.
        except Exception as error:
            raise explained(error, self.harmless(host)) or self._late() from error

    def _once(self, method: str, url: str, headers: dict[str, str], body: bytes | None, limit: int) -> Answer:
        seconds = self.remaining
        response = self._connections.send(method, url, headers, body, seconds)
        try:
            content = b"" if method == "HEAD" else self._content(response, limit, monotonic() + seconds)
            if method == "HEAD":
                response.drain_conn()
        finally:
            response.close()
        return Answer(url, response.status, response.headers, content)

    def _content(self, response: BaseHTTPResponse, limit: int, until: float) -> bytes:
        """The body as it was sent; only the beginning if the status is an error."""
        good = response.status < 400
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if good and encoding not in ("", "identity"):
            encoding = self.harmless(encoding[:40])
            raise RegistryError(f"the registry sends {encoding!r}, which was not asked for")
        limit = limit if good else MOST_ERROR_BYTES
        announced = response.headers.get("Content-Length", "")
        if good and announced.isdecimal() and int(announced[:20]) > limit:
            raise RegistryError(f"the registry sends {int(announced[:20]):,} bytes, expected at most {limit:,}")
        data = bytearray()
        while part := response.read1(_CHUNK, decode_content=False):
            data += part
            if len(data) > limit:
                if good:
                    raise RegistryError(f"the registry sends more than the expected {limit:,} bytes")
                return bytes(data[:limit])
            if monotonic() > until:
                raise self._late()
        return bytes(data)

    def _late(self) -> Unanswered:
        if monotonic() >= self._until:
            return Unanswered(f"the registry took more than {self._seconds:g} seconds in all")
        return Unanswered(f"the registry did not answer in full within {self._timeout:g} seconds; see --timeout")


def harmless(text: str, secrets: Collection[str]) -> str:
    """Foreign text with each secret as `***`, in upper case or lower, cut or whole, and no command to a CI system.

    A secret that the registry sends in an encoding of its own is not recognized.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
        if len(secret) > _KNOWN_BY:
            text = re.sub(re.escape(secret[:_KNOWN_BY]) + r"\S*", HIDDEN, text, flags=re.IGNORECASE)
    return inert(text)


def _redirect(url: str, target: str) -> tuple[str, Origin]:
    """Where a redirect leads (RFC 9110, "Location"). Raises `RegistryError`."""
    try:
        url = urljoin(url, target)
        there = origin(url)
    except ValueError:
        there = ("", "", None)
    if there[0] not in ("http", "https") or not there[1]:
        raise RegistryError("the registry redirects to something that is not an HTTP address")
    return url, there


def _retry_after(answer: Answer) -> float:
    """Seconds that the registry asks to wait (RFC 9110, "Retry-After"), 0 if it does not say."""
    text = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
