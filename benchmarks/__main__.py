"""`python -m benchmarks`: the time of analysis and repair, compared with `orjson.loads` of the same file.

For each shape and size, one config is written. A bare process that only loads it with orjson is timed, and the real
commands, whose peak memory is measured too. The best of several runs counts. `python -m benchmarks.steps FILE` shows
where an analysis spends its time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.generate import SHAPES, diamonds
from benchmarks.profiles import cpu_profile
from benchmarks.registry import serve

LOADS = "import sys, orjson; orjson.loads(open(sys.argv[1], 'rb').read())"
FIXTURES = Path(__file__).parent.parent / "fixtures"
SERVICE = FIXTURES / "manifests/service.json"
# As an installed package: the first run of each command compiles the modules.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def best(command: list[str], runs: int) -> float:
    """Seconds of the fastest run of a command."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        times.append(time.perf_counter() - start)
    return min(times)


def peak(arguments: list[str]) -> str:
    """The peak memory of a command, in MiB."""
    command = [sys.executable, "-m", "benchmarks.peak", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return f"{int(done.stderr.splitlines()[-1]):,}"


@click.command()
@click.option("--sizes", default="1000,10000,50000,100000,1000000", show_default=True, help="Records of each config.")
@click.option("--shapes", default=",".join(SHAPES), show_default=True)
def main(sizes: str, shapes: str) -> None:
    """Print tables of start-up, registries, profiles, and configs of each shape and size."""
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.json")
        console.print(_starts(file))
        console.print(_registry())
        console.print(_profiles(Path(folder, "cpu.pprof")))
        table = Table(title="cachedoctor analyze and repair, seconds as processes")
        for head in ("shape", "records", "MB", "orjson.loads", "analyze", "ratio", "MiB", "repair", "ratio", "MiB"):
            table.add_column(head, justify="left" if head == "shape" else "right")
        for shape in shapes.split(","):
            for size in map(int, sizes.split(",")):
                file.write_bytes(SHAPES[shape](size))
                table.add_row(shape, f"{size:,}", *_row(file, runs=1 if size > 200_000 else 5))
        console.print(table)


def _row(file: Path, runs: int) -> list[str]:
    loads = best([sys.executable, "-c", LOADS, str(file)], runs)
    row = [f"{file.stat().st_size / 1e6:.1f}", f"{loads:.2f}"]
    for arguments in (["analyze", str(file)], ["repair", str(file), "-o", f"{file}.repaired", "--force"]):
        whole = best([sys.executable, "-m", "cachedoctor", *arguments], runs)
        row += [f"{whole:.2f}", f"{whole / loads:.1f}", peak(arguments)]
    return row


def _profiles(file: Path) -> Table:
    """The time to read profiles, compared with only parsing their protobuf."""
    table = Table(title="cachedoctor profile, seconds")
    for head in ("samples", "MB", "protobuf parse", "profile", "ratio"):
        table.add_column(head, justify="right")
    for samples in (1_000, 100_000, 1_000_000):
        file.write_bytes(cpu_profile(samples))
        parse = best([sys.executable, "-m", "benchmarks.profiles", str(file)], 3)
        whole = best([sys.executable, "-m", "cachedoctor", "profile", str(file)], 3)
        size = f"{file.stat().st_size / 1e6:.1f}"
        table.add_row(f"{samples:,}", size, f"{parse:.2f}", f"{whole:.2f}", f"{whole / parse:.1f}")
    return table


def _starts(file: Path) -> Table:
    """The time until something is seen, against that of a bare interpreter."""
    file.write_bytes(diamonds(3_600))
    commands = {
        "cachedoctor --help": ["--help"],
        "cachedoctor analyze, 3 KB": ["analyze", str(SERVICE)],
        "cachedoctor profile, 15 KB": ["profile", str(FIXTURES / "profiles/cpu-stuck.pprof")],
        f"cachedoctor analyze, {file.stat().st_size / 2**20:.2f} MiB": ["analyze", str(file)],
    }
    bare = best([sys.executable, "-c", "pass"], 21)
    table = Table(title="start to end, against a bare interpreter")
    for head in ("command", "seconds", "ratio"):
        table.add_column(head, justify="left" if head == "command" else "right")
    table.add_row("python -c pass", f"{bare:.3f}", "1.0")
    for name, arguments in commands.items():
        seconds = best([sys.executable, "-m", "cachedoctor", *arguments], 11)
        table.add_row(name, f"{seconds:.3f}", f"{seconds / bare:.1f}")
    return table


def _registry() -> Table:
    """The time to analyze caches in a registry on this machine: a small one, and one of almost a MiB."""
    table = Table(title="cachedoctor analyze docker://, over loopback")
    for head in ("config", "layers", "requests", "bytes", "seconds"):
        table.add_column(head, justify="right")
    for config in (SERVICE.read_bytes(), diamonds(3_600)):
        with serve(config) as served:
            seconds = best([sys.executable, "-m", "cachedoctor", "analyze", served.url], 5)
            requests, sent = served.requests // 5, served.sent // 5
        table.add_row(f"{len(config):,}", f"{served.layers:,}", f"{requests}", f"{sent:,}", f"{seconds:.2f}")
    return table


if __name__ == "__main__":
    main()
