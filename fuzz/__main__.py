"""`python -m fuzz TARGET... [libFuzzer options]`: coverage-guided fuzzing with atheris (`pip install '.[fuzz]'`).

`python -m fuzz mended -max_total_time=3600` fuzzes for an hour. What fails is written to `crash-*`, `timeout-*` or
`oom-*` in the current folder, and `python -m fuzz mended crash-1234` runs that alone. What is found on the way is kept
where a folder is named. `python -m fuzz --quiet all -max_total_time=6` takes each target in turn, and says nothing
unless one fails.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.targets import TARGETS

OPTIONS = ("-timeout=10", "-rss_limit_mb=2048")


def main() -> None:
    """Fuzz some targets, one after the other. The exit code is 1 where one failed."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--quiet"]
    names = list(TARGETS) if arguments[:1] == ["all"] else [name for name in arguments if name in TARGETS]
    options = [argument for argument in arguments if argument not in ("all", *TARGETS)]
    if not names:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}, all")
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install '.[fuzz]'")
    failed = [name for name in names if not _fuzz(name, options, quiet="--quiet" in sys.argv)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _fuzz(name: str, options: list[str], *, quiet: bool) -> bool:
    """Whether a target held. It has a process of its own, which libFuzzer ends."""
    with tempfile.TemporaryDirectory(prefix="cachedoctor-fuzz-") as folder:
        for number, data in enumerate(TARGETS[name].seeds()):
            Path(folder, str(number)).write_bytes(data)
        # libFuzzer writes what it finds to the first folder; where a file is named it takes nothing else.
        inputs = [] if any(Path(option).is_file() for option in options) else [folder]
        command = [sys.executable, "-m", "fuzz.engine", name, *OPTIONS, *options, *inputs]
        log = subprocess.PIPE if quiet else None
        done = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT if quiet else None)
    if done.returncode and quiet:
        print(f"{name}:\n{done.stdout.decode(errors='replace')}", file=sys.stderr)
    return not done.returncode


if __name__ == "__main__":
    main()
