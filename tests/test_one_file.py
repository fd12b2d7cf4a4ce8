"""A format, a command, a rule, a cause and a kind of source are one file each: added to a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import cachedoctor
from tests.support import FIXTURES

SERVICE = FIXTURES / "manifests/service.json"
PROFILE = FIXTURES / "profiles/goroutine-stuck-debug1.txt"
ADDED = {
    "sources/schemes/toy.py": '''
        """`toy://NAME`: a cache in a box of toys."""

        from pathlib import Path

        from cachedoctor.sources.document import Location, Writer


        class ToyLocation(Location):
            prefix = "toy://"
            usage = target_usage = "toy://NAME"

            def documents(self, platform, stdin, access):
                from cachedoctor.sources.content import path_documents

                return path_documents(f"{self.name}.toy", self.tag, platform)

            def writer(self, documents, *, force=False, access=None):
                return ToyWriter(self)


        class ToyWriter(Writer):
            def put(self, config, data, check):
                check(data)
                Path(f"{self.location.name}.toy").write_bytes(data)
        ''',
    "report/formats/shout.py": '''
        """Upper case, for people who are far away."""

        from cachedoctor.report import Part

        NEEDS = Part.WORDS


        def render(page, style):
            """The headline."""
            return "".join(f"{line.text.upper()}\\n" for line in page.headline)
        ''',
    "cli/commands/greet.py": '''
        """`cachedoctor greet`: says hello."""

        import click

        from cachedoctor.cli import options
        from cachedoctor.report import Part


        @click.command()
        @options.format(Part.WORDS)
        def greet(format):
            """Say hello to whoever is there."""
            click.echo(f"hello in {format}")
        ''',
    "diagnosis/causes/haunted.py": '''
        """A ghost holds the daemon.

        **How it is found.** `(*Ghost).Haunt` in any goroutine.
        """

        from cachedoctor.diagnosis.causes.cause import Cause, Question, Signature

        CAUSE = Cause(
            name="haunted",
            title="The daemon is haunted",
            question=Question.GRAPH,
            affects="v0.13",
            what="Something moves in it.",
            ends="At dawn.",
            outcome="ends",
            now=("Turn on the light.",),
            for_good=("Move out.",),
            signatures=(Signature(r"[.][(][*]Ghost[)][.]Haunt$", "being haunted", fixed_in="v0.14.0"),),
        )
        ''',
    "rules/odd_record.py": '''
        """A cache whose records are an odd number.

        **What it means.** BuildKit v0.40 and later refuse it.
        """

        from cachedoctor.buildkit import Release, Span
        from cachedoctor.rules.rule import Found, Scope, Severity, rule

        SINCE = Span(since=Release(0, 40))


        @rule(
            "CD199",
            "odd-record",
            Severity.ERROR,
            affects=str(SINCE),
            help=("Add a record.",),
            scope=Scope.DOCUMENT,
            refused_by=SINCE,
        )
        def odd_record(context):
            for document in context.documents:
                if len(document.config.digests) % 2:
                    yield Found("The number of records is odd.", source=document.source)
        ''',
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that has one file more of each kind, and nothing else changed."""
    folder = tmp_path_factory.mktemp("copy")
    package = Path(cachedoctor.__file__).parent
    shutil.copytree(package, folder / "cachedoctor", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in ADDED.items():
        assert not (folder / "cachedoctor" / name).exists()
        (folder / "cachedoctor" / name).write_text(dedent(text).lstrip())
    return folder


def run(copy: Path, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The command of the copy."""
    return subprocess.run(
        [sys.executable, "-m", "cachedoctor", *map(str, arguments)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(copy), **env},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "shouted"),
    [
        (["analyze", SERVICE], "BUILDKIT V0.40 AND LATER REFUSE TO IMPORT THIS CACHE (ODD-RECORD)."),
        (["check", SERVICE], "CHECK FAILED: CD199 ODD-RECORD."),
        (["profile", PROFILE], "THE CACHE EXPORT WALKS EVERY PATH"),
        (["repair", SERVICE, "--dry-run", "--max-bytes", "1MiB"], ""),
    ],
    ids=["analyze", "check", "profile", "repair"],
)
def test_a_format_works_in_every_command(copy: Path, arguments: list[str | Path], shouted: str) -> None:
    help = run(copy, str(arguments[0]), "--help").stdout
    assert "|shout" in "".join(help.split())
    result = run(copy, *arguments, "--format", "shout")
    if shouted:
        assert result.stdout.startswith(shouted)
        assert result.stdout == result.stdout.upper()
    else:
        # The new rule refuses what repair would write.
        assert result.returncode == 2
        assert "CD199" in result.stderr


@pytest.mark.slow
def test_a_kind_of_source_is_read_and_written(copy: Path) -> None:
    # An even number of records, which the new rule lets pass.
    shutil.copy(FIXTURES / "manifests/diamond-28.json", copy / "box.toy")
    for command in ("analyze", "check", "repair"):
        assert "toy://NAME" in run(copy, command, "--help").stdout
    analysis = json.loads(run(copy, "analyze", "toy://box", "-f", "json").stdout)
    assert [(item["source"], item["records"]) for item in analysis["inputs"]] == [("toy://box", 88)]
    assert run(copy, "check", "toy://box", "--buildkit", "v0.32.2").returncode == 0
    assert "toy://box.toy" not in run(copy, "check", "toy://box", "-f", "sarif").stdout
    written = run(copy, "repair", "toy://box", "-o", "toy://new")
    assert written.returncode == 0
    assert "Wrote toy://new: " in written.stdout
    assert (copy / "new.toy").read_bytes() == (copy / "box.toy").read_bytes()
    estimate = run(copy, "profile", PROFILE, "--cache", "toy://new")
    assert "1.6 billion loop-check calls" in " ".join(estimate.stdout.split())


@pytest.mark.slow
def test_a_command_is_listed_helps_and_completes(copy: Path) -> None:
    assert "greet    Say hello to whoever is there." in run(copy, "--help").stdout
    assert "Say hello to whoever is there." in run(copy, "greet", "--help").stdout
    assert run(copy, "greet", "-f", "shout").stdout == "hello in shout\n"
    complete = {"_CACHEDOCTOR_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert "plain,greet" in run(copy, COMP_WORDS="cachedoctor gre", **complete).stdout.split()
    complete["COMP_CWORD"] = "4"
    words = run(copy, COMP_WORDS="cachedoctor analyze x --format sho", **complete).stdout.split()
    assert words == ["plain,shout"]


@pytest.mark.slow
def test_a_rule_is_found_wherever_rules_are_used(copy: Path) -> None:
    analysis = json.loads(run(copy, "analyze", SERVICE, "-f", "json").stdout)
    assert [finding["rule"] for finding in analysis["findings"]] == ["CD199"]
    for select in ("CD199", "odd-record", "CD1"):
        assert run(copy, "check", SERVICE, "--select", select).returncode == 1
    assert run(copy, "check", SERVICE, "--ignore", "odd-record").returncode == 0
    sarif = json.loads(run(copy, "check", SERVICE, "-f", "sarif").stdout)
    rules = [rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]]
    assert rules == sorted(rules)
    assert sarif["runs"][0]["results"][0]["ruleIndex"] == rules.index("CD199")
    assert 'name="CD199 odd-record"' in run(copy, "check", SERVICE, "-f", "junit").stdout
    assert '"blocker"' in run(copy, "check", SERVICE, "-f", "gitlab").stdout
    refused = run(copy, "repair", SERVICE, "-o", copy / "repaired.json")
    assert refused.returncode == 2
    assert "the repaired cache fails CD199" in refused.stderr
    assert not (copy / "repaired.json").exists()


@pytest.mark.slow
def test_a_cause_is_found_in_dumps_and_tables(copy: Path) -> None:
    dump = copy / "dump.txt"
    dump.write_text("goroutine 7 [select, 3 minutes]:\nexample.com/x.(*Ghost).Haunt(0x1)\n\t/src/x.go:1 +0x1\n")
    table = copy / "table.txt"
    table.write_text(
        "flat flat% sum% cum cum%\n0s 0% 0% 9s 90% x.(*Ghost).Haunt\n9s 90% 90% 9s 90% crypto/sha256.block\n"
    )
    for source, evidence in ((dump, "goroutine 7 [select, 3 minutes]"), (table, "9s 90.00%")):
        first, *_ = json.loads(run(copy, "profile", source, "-f", "json").stdout)["diagnosis"]
        assert (first["cause"], first["outcome"], first["fixed_in"]) == ("haunted", "ends", "v0.14.0")
        assert "being haunted" in first["explanation"]
        assert evidence in first["evidence"][0]
    assert run(copy, "profile", dump).stdout.startswith("The daemon is haunted.")
