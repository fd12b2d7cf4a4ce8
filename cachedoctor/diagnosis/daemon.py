"""Profiles from a running daemon's debug address."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import InputError, reading

if TYPE_CHECKING:
    import urllib.error
    import urllib.request

GRACE_SECONDS = 20.0
"""How much longer than the profile itself an answer may take."""
MOST_BYTES = 256 << 20
"""Bytes of an answer."""
LONGEST_MESSAGE = 300
"""Bytes that are shown of a daemon's error message."""

Progress = Callable[[str], None]


class Answer(NamedTuple):
    """What the daemon sent."""

    url: str
    name: str
    """A file name for it."""
    data: bytes


def is_url(source: str) -> bool:
    """Whether a source is the address of a daemon."""
    return source.lower().startswith(("http://", "https://"))


def fetch(
    url: str, seconds: int, progress: Progress = lambda step: None, *, again_after: int | None = None
) -> Iterator[Answer]:
    """Fetch what a URL names; from a bare address, a goroutine dump and then a CPU profile of so many seconds.

    With `again_after`, a second goroutine dump follows so many seconds after the first; or, if the URL names something
    else, that once more. Yields each answer as it comes. Raises `InputError`. Source: net/http/pprof of Go 1.24;
    buildkitd serves it at `--debugaddr`.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and not parts.username and not parts.password and parts.port != 0
    except ValueError as error:
        raise InputError("not an address; expected http://HOST:PORT", source="http://…") from error
    if not valid:
        raise InputError("expected http://HOST:PORT, without a user", source=parts._replace(netloc="…").geturl())
    if parts.path.rstrip("/") not in ("", "/debug", "/debug/pprof"):
        progress(f"fetching {parts.path}")
        name = parts.path.rstrip("/").rpartition("/")[2]
        began = time.monotonic()
        yield Answer(url, _name(name), _get(url, _patience(parts.query)))
        if again_after:
            _wait(began + again_after, progress)
            yield Answer(url, _name(name), _get(url, _patience(parts.query)))
        return
    base = f"{parts.scheme}://{parts.netloc}/debug/pprof"
    progress("fetching a goroutine dump")
    dump = f"{base}/goroutine?debug=2"
    began = time.monotonic()
    yield Answer(dump, _name("goroutines", "txt"), _get(dump, GRACE_SECONDS))
    progress(f"taking a CPU profile of {seconds} s")
    cpu = f"{base}/profile?seconds={seconds}"
    yield Answer(cpu, _name("cpu"), _get(cpu, seconds + GRACE_SECONDS))
    if again_after:
        _wait(began + again_after, progress)
        progress("fetching a second goroutine dump")
        yield Answer(dump, _name("goroutines", "txt"), _get(dump, GRACE_SECONDS))


def _wait(until: float, progress: Progress) -> None:
    """Wait until a time of `time.monotonic`."""
    left = until - time.monotonic()
    if left > 0:
        progress(f"waiting {left:.0f} s")
        time.sleep(left)


def _patience(query: str) -> float:
    """Seconds that an answer may take: a CPU profile takes 30 s unless the URL says otherwise."""
    from urllib.parse import parse_qs

    seconds = parse_qs(query).get("seconds", ["30"])[0]
    return min(int(seconds) if re.fullmatch("[0-9]{1,9}", seconds) else 30, 3600) + GRACE_SECONDS


def _name(what: str, ending: str = "pprof") -> str:
    """A file name with the time in it: the advice may be to fetch two of a kind."""
    what = what if what.isalnum() and what.isascii() else "profile"
    return f"{what}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.{ending}"


def _get(url: str, time_out: float) -> bytes:
    from http.client import HTTPException
    from urllib.error import HTTPError

    deadline = time.monotonic() + time_out
    with reading(url):
        try:
            with _opener().open(url, timeout=time_out) as answer:
                parts, size = [], 0
                while part := answer.read1(1 << 20):
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        raise InputError(f"more than {MOST_BYTES:,} bytes, which is refused")
                    if time.monotonic() > deadline:
                        raise InputError(f"no whole answer within {time_out:.0f} seconds")
                if answer.length:
                    raise InputError(f"the answer is cut short: {answer.length:,} bytes are missing")
                return b"".join(parts)
        except HTTPError as error:
            raise InputError(f"the daemon answers {error.code}{_hint(error)}") from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise InputError(f"no answer within {time_out:.0f} seconds") from error
            raise InputError(f"cannot be fetched: {reason}") from error


def _hint(error: urllib.error.HTTPError) -> str:
    from http.client import HTTPException

    if error.code == 404:
        return "; is it buildkitd's debug address (--debugaddr)?"
    with suppress(OSError, HTTPException):
        message = error.read(LONGEST_MESSAGE).decode("utf-8", "replace").strip().partition("\n")[0]
        return f": {message}" if message else ""
    return ""


def _opener() -> urllib.request.OpenerDirector:
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class NoRedirect(HTTPRedirectHandler):
        """A debug address has no reason to send anybody elsewhere."""

        def redirect_request(self, *request: object) -> None:
            return None

    # A debug address is on this machine or nearby: a proxy from the environment is not meant for it.
    return build_opener(NoRedirect, ProxyHandler({}))
