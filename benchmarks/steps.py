"""One analysis in a process of its own, step by step: `python -m benchmarks.steps FILE` prints JSON."""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

import orjson

from cachedoctor.analysis import analyze
from cachedoctor.report import Style, report
from cachedoctor.sources import load


def main(path: str) -> None:
    """Print the seconds of each step and the peak memory in MiB."""
    gc.disable()
    seconds: dict[str, float] = {}
    step, since = "loading", time.perf_counter()

    def told(name: str) -> None:
        nonlocal step, since
        now = time.perf_counter()
        seconds[step] = seconds.get(step, 0.0) + now - since
        step, since = name, now

    analysis = analyze(load(path), progress=told)
    told("report")
    report("json").render(analysis, Style())
    told("end")
    # The peak that getrusage tells is that of the parent where that was larger when it forked.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    sys.stdout.buffer.write(orjson.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main(sys.argv[1])
