"""`python -m fuzz TARGET [libFuzzer options]`: coverage-guided fuzzing with atheris (`pip install atheris`).

`python -m fuzz profile -max_total_time=3600` fuzzes for an hour; what fails is written to `crash-*` in the current
folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cachedoctor"]):
    from fuzz.targets import TARGETS, corpus


def main() -> None:
    """Fuzz one target until time is over or something fails."""
    name = sys.argv[1]
    folder = Path(tempfile.mkdtemp(prefix="cachedoctor-fuzz-"))
    for number, data in enumerate(corpus(name)):
        (folder / str(number)).write_bytes(data)
    options = ["-max_len=65536", "-timeout=10", "-rss_limit_mb=2048", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], str(folder), *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
