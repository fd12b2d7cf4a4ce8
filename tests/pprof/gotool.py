"""The real `go tool pprof`, and real Go programs to profile."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

GO = Path(sys.executable).parent / "go"
DAEMON = Path(__file__).parent / "daemon"
# Kept between runs, like any compiler's cache: what is in it is keyed by content.
CACHE = Path(tempfile.gettempdir()) / f"cachedoctor-go-{os.getuid()}"


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOCACHE": str(CACHE / "build"),
        "GOFLAGS": "-mod=mod",
        "GOPATH": str(CACHE / "path"),
        "GOTELEMETRY": "off",
        "GOTOOLCHAIN": "local",
        "PPROF_TMPDIR": str(CACHE / "pprof"),
        "TZ": "UTC",
    }


def go(*arguments: str | Path, cwd: Path | None = None) -> str:
    """What the go command prints."""
    done = subprocess.run(
        [GO, *map(str, arguments)],
        env=_environment(),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def daemon() -> Path:
    """A program with functions named as buildkitd's, that serves net/http/pprof."""
    program = CACHE / "daemon"
    CACHE.mkdir(exist_ok=True)
    # Other workers may be running it, or building it as well.
    built = CACHE / f"daemon-{os.getpid()}"
    go("build", "-o", built, ".", cwd=DAEMON)
    return built.replace(program)
