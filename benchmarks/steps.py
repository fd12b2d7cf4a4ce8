"""`python -m benchmarks.steps FILE` prints the CPU time of each step of an analysis, in seconds."""

from __future__ import annotations

import gc
import sys
import time

from cachedoctor.analysis.analyze import analyze
from cachedoctor.report import render
from cachedoctor.report.analysis import page
from cachedoctor.report.page import Style
from cachedoctor.sources import load


def main(path: str) -> None:
    """Analyze a file, and print the CPU seconds of each step."""
    gc.disable()
    seconds: dict[str, float] = {}
    step, since = "loading", time.process_time()

    def start(name: str) -> None:
        nonlocal step, since
        now = time.process_time()
        seconds[step] = seconds.get(step, 0.0) + now - since
        step, since = name, now

    analysis = analyze(load(path), progress=start)
    start("report")
    render(page(analysis), "json", Style())
    start("end")
    for name, duration in seconds.items():
        print(f"{duration:8.3f}  {name}")


if __name__ == "__main__":
    main(sys.argv[1])
