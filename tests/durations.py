"""A plugin of pytest that says which tests ought to be marked as slow: `pytest -p tests.durations`.

It changes no result, since a busy machine makes any test slow. `just quick` leaves out what is marked.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

SLOW_SECONDS = 1.0
"""A test that takes longer ought to be marked."""


class Durations:
    """The seconds of each test, with those of its fixtures, and which tests are marked."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.marked: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if "slow" in report.keywords:
            self.marked.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        write = terminalreporter.write_line
        terminalreporter.section("durations")
        for name, tests in (("fast", self.seconds.keys() - self.marked), ("slow", self.marked)):
            write(f"{len(tests):,} {name} tests: {sum(self.seconds[test] for test in tests):.0f} s on one core")
        for test, seconds in sorted(self.seconds.items(), key=lambda item: -item[1]):
            if test not in self.marked and seconds > SLOW_SECONDS:
                write(f"{seconds:6.2f} s, not marked as slow: {test}")


def pytest_configure(config: pytest.Config) -> None:
    """Count where the reports of all workers arrive."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations())
