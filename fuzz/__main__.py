"""`python -m fuzz TARGET... [libFuzzer options]`: coverage-guided fuzzing with atheris (dependency group `fuzz`).

`python -m fuzz repaired -max_total_time=3600` fuzzes for an hour. An input that fails is written to `crash-*`,
`timeout-*` or `oom-*` in the current folder, and `python -m fuzz repaired crash-1234` runs it alone. Name a folder to
keep the inputs that reached new code. `python -m fuzz --quiet all -max_total_time=6` runs all targets, one per core at
a time, and prints nothing unless one fails.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fuzz.targets import TARGETS

OPTIONS = ("-timeout=10", "-rss_limit_mb=2048")


def main() -> None:
    """Fuzz the named targets; exit with 1 if any of them failed."""
    quiet = "--quiet" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--quiet"]
    names = list(TARGETS) if arguments[:1] == ["all"] else [name for name in arguments if name in TARGETS]
    options = [argument for argument in arguments if argument not in ("all", *TARGETS)]
    if not names:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}, all")
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install --group fuzz")
    # Targets run in parallel only if they are quiet: otherwise their output would be mixed.
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) if quiet else 1) as pool:
        passed = list(pool.map(partial(_fuzz, options=options, quiet=quiet), names))
    failed = [name for name, ok in zip(names, passed, strict=True) if not ok]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _fuzz(name: str, options: list[str], *, quiet: bool) -> bool:
    """Return whether a target passed. It runs in a separate process, because libFuzzer ends the process."""
    with tempfile.TemporaryDirectory(prefix="cachedoctor-fuzz-") as folder:
        for number, data in enumerate(TARGETS[name].seeds()):
            Path(folder, str(number)).write_bytes(data)
        # libFuzzer writes new inputs to the first folder. If a file is named, it runs only that file.
        inputs = [] if any(Path(option).is_file() for option in options) else [folder]
        command = [sys.executable, "-m", "fuzz.engine", name, *OPTIONS, *options, *inputs]
        log = subprocess.PIPE if quiet else None
        done = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT if quiet else None)
    if done.returncode and quiet:
        print(f"{name}:\n{done.stdout.decode(errors='replace')}", file=sys.stderr)
    return not done.returncode


if __name__ == "__main__":
    main()
