"""Profiles from a running daemon's debug address."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cachedoctor.errors import InputError

GRACE_SECONDS = 20.0
"""How much longer than the profile itself an answer may take."""
MOST_BYTES = 256 << 20
"""Bytes of an answer."""
LONGEST_MESSAGE = 300
"""Bytes that are shown of what a daemon says about an error."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon sent."""

    url: str
    name: str
    """A file name for it."""
    data: bytes


def is_url(source: str) -> bool:
    """Whether a source is the address of a daemon."""
    return source.lower().startswith(("http://", "https://"))


def fetch(url: str, seconds: int, told: Progress = lambda step: None) -> Iterator[Answer]:
    """Fetch what a URL names; of a bare address, a goroutine dump and then a CPU profile of so many seconds.

    Gives each answer as it comes, and raises `InputError`. Source: net/http/pprof of Go 1.24; buildkitd serves it at
    `--debugaddr`.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        valid = bool(parts.hostname) and not parts.username and not parts.password and parts.port != 0
    except ValueError as error:
        raise InputError("no address; expected http://HOST:PORT", source=url) from error
    if not valid:
        raise InputError("expected http://HOST:PORT, without a user", source=parts._replace(netloc="…").geturl())
    if parts.path.rstrip("/") not in ("", "/debug", "/debug/pprof"):
        told(f"fetching {parts.path}")
        yield Answer(url, _name(parts.path.rstrip("/").rpartition("/")[2]), _get(url, _patience(parts.query)))
        return
    base = f"{parts.scheme}://{parts.netloc}/debug/pprof"
    told("fetching a goroutine dump")
    dump = f"{base}/goroutine?debug=2"
    yield Answer(dump, _name("goroutines", "txt"), _get(dump, GRACE_SECONDS))
    told(f"taking a CPU profile of {seconds} s")
    cpu = f"{base}/profile?seconds={seconds}"
    yield Answer(cpu, _name("cpu"), _get(cpu, seconds + GRACE_SECONDS))


def _patience(query: str) -> float:
    """Seconds that an answer may take: a CPU profile is one of 30 s unless the URL says otherwise."""
    seconds = urllib.parse.parse_qs(query).get("seconds", ["30"])[0]
    return min(int(seconds) if seconds.isdecimal() else 30, 3600) + GRACE_SECONDS


def _name(what: str, ending: str = "pprof") -> str:
    """A file name that tells when: advice may ask for two of a kind."""
    what = what if what.isalnum() and what.isascii() else "profile"
    return f"{what}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{ending}"


def _get(url: str, time_out: float) -> bytes:
    deadline = time.monotonic() + time_out
    try:
        with _OPENER.open(url, timeout=time_out) as answer:
            parts, size = [], 0
            while part := answer.read1(1 << 20):
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES:
                    raise InputError(f"more than {MOST_BYTES:,} bytes, which is refused", source=url)
                if time.monotonic() > deadline:
                    raise InputError(f"no whole answer within {time_out:.0f} seconds", source=url)
            if answer.length:
                raise InputError(f"the answer is cut short: {answer.length:,} bytes are missing", source=url)
            return b"".join(parts)
    except urllib.error.HTTPError as error:
        raise InputError(f"the daemon answers {error.code}{_hint(error)}", source=url) from error
    except TimeoutError as error:
        raise InputError(f"no answer within {time_out:.0f} seconds", source=url) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise InputError(f"no answer within {time_out:.0f} seconds", source=url) from error
        raise InputError(f"cannot be fetched: {reason}", source=url) from error


def _hint(error: urllib.error.HTTPError) -> str:
    if error.code == 404:
        return "; is it buildkitd's debug address (--debugaddr)?"
    with suppress(OSError, http.client.HTTPException):
        said = error.read(LONGEST_MESSAGE).decode("utf-8", "replace").strip().partition("\n")[0]
        return f": {said}" if said else ""
    return ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A debug address has no reason to send anybody elsewhere."""

    def redirect_request(self, *request: object) -> None:
        return None


# A debug address is on this machine or beside it: a proxy of the environment is not meant for it.
_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
