"""`python -m benchmarks.peak ARGUMENT...` runs the real command, and prints its peak memory in MiB to stderr."""

from __future__ import annotations

import sys
from pathlib import Path

from cachedoctor.cli.main import main

if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    # getrusage would report the peak of the parent if that was larger when it forked.
    status = Path("/proc/self/status").read_text()
    sys.stderr.write(f"{int(status.split('VmHWM:')[1].split()[0]) / 1024:.0f}\n")
