"""Profiles from a running daemon's debug address."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from cachedoctor.errors import InputError

GRACE_SECONDS = 20.0
"""How much longer than the profile itself an answer may take."""
MOST_BYTES = 256 << 20
"""Bytes of an answer."""
CPU, GOROUTINES = "/debug/pprof/profile", "/debug/pprof/goroutine"

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


def fetch(url: str, seconds: int, told: Progress = lambda step: None) -> list[Answer]:
    """Fetch what a URL names; of a bare address, a goroutine dump and then a CPU profile of so many seconds.

    Raises `InputError`. Source: net/http/pprof of Go 1.24; buildkitd serves it at `--debugaddr`.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(url, "", "no address; expected http://HOST:PORT") from error
    if not parts.hostname or parts.username or parts.password:
        raise InputError(parts._replace(netloc="…").geturl(), "", "expected http://HOST:PORT, without a user")
    _ = port
    if parts.path.rstrip("/") not in ("", "/debug", "/debug/pprof"):
        told(f"fetching {parts.path}")
        wanted = urllib.parse.parse_qs(parts.query).get("seconds", ["0"])[0]
        time_out = (int(wanted) if wanted.isdigit() and len(wanted) < 6 else 0) + GRACE_SECONDS
        return [Answer(url, _name(parts.path), _get(url, time_out + (30 if "seconds" not in parts.query else 0)))]
    base = f"{parts.scheme}://{parts.netloc}"
    dump, cpu = f"{base}{GOROUTINES}?debug=2", f"{base}{CPU}?seconds={seconds}"
    told("fetching a goroutine dump")
    first = Answer(dump, "goroutines.txt", _get(dump, GRACE_SECONDS))
    told(f"taking a CPU profile of {seconds} s")
    return [first, Answer(cpu, "cpu.pprof", _get(cpu, seconds + GRACE_SECONDS))]


def _name(path: str) -> str:
    last = path.rstrip("/").rpartition("/")[2]
    return f"{last if last.isalnum() else 'profile'}.pprof"


def _get(url: str, time_out: float) -> bytes:
    deadline = time.monotonic() + time_out
    try:
        with _OPENER.open(url, timeout=time_out) as answer:
            parts, size = [], 0
            while part := answer.read1(1 << 20):
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES:
                    raise InputError(url, "", f"more than {MOST_BYTES:,} bytes, which is refused")
                if time.monotonic() > deadline:
                    raise InputError(url, "", f"no whole answer within {time_out:.0f} seconds")
            if answer.length:
                raise InputError(url, "", f"the answer is cut short: {answer.length:,} bytes are missing")
            return b"".join(parts)
    except urllib.error.HTTPError as error:
        hint = "; is it buildkitd's debug address (--debugaddr)?" if error.code == 404 else ""
        raise InputError(url, "", f"the daemon answers {error.code}{hint}") from error
    except TimeoutError as error:
        raise InputError(url, "", f"no answer within {time_out:.0f} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise InputError(url, "", f"no answer within {time_out:.0f} seconds") from error
        raise InputError(url, "", f"cannot be fetched: {reason}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A debug address has no reason to send anybody elsewhere."""

    def redirect_request(self, *request: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)
