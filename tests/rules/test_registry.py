"""Rules are found by listing their folder, and a rule's file declares everything about it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import cachedoctor
from cachedoctor import rules
from cachedoctor.repairs.repair import Options, repair
from cachedoctor.rules import RULES, Rule, Scope, Severity
from tests.support import document, record
from tools.rules import rules as page_of_rules

PACKAGE = Path(cachedoctor.__file__).parent
SECTIONS = [
    "What it means",
    "How it is found",
    "Severity",
    "Versions",
    "What you see",
    "What to do",
    "What does not help",
]


def test_rules_are_in_the_order_of_their_ids() -> None:
    assert [rule.id for rule in RULES] == sorted({rule.id for rule in RULES})
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_documented(rule: Rule) -> None:
    assert rule.help
    assert rule.affects
    assert re.findall(r"^\*\*([^*]+)\.\*\*", rule.about, re.MULTILINE) == SECTIONS
    assert rule.noun in ("record", "layer")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_documentation_of_a_rule_agrees_with_its_facts(rule: Rule) -> None:
    sections = dict(re.findall(r"^\*\*([^*]+)\.\*\*((?:.|\n)*?)(?=\n\*\*|\Z)", rule.about, re.MULTILINE))
    assert str(rule.severity) in sections["Severity"].lower() or "then a warning" in sections["Severity"]
    named = set(re.findall(r"v[0-9.]*[0-9]", rule.affects))
    assert named <= set(re.findall(r"v[0-9.]*[0-9]", sections["Versions"]))
    if "every" in rule.affects:
        assert "Every BuildKit" in sections["Versions"]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.refused_by], ids=lambda rule: rule.id)
def test_a_refusing_rule_is_an_error_about_documents(rule: Rule) -> None:
    assert rule.severity is Severity.ERROR
    assert rule.scope is Scope.DOCUMENT
    assert str(rule.refused_by) in rule.affects


def test_no_other_file_names_a_rule() -> None:
    """Only files of rules may have ids: their own, and those of rules whose documentation they link to."""
    paths = [path for path in PACKAGE.rglob("*.py") if not re.search(r'^@rule\(\s*"CD', path.read_text(), re.MULTILINE)]
    assert len(paths) > 50
    assert [path.name for path in paths if re.search(r"CD\d\d\d", path.read_text())] == []


NEW_RULE = '''
    """A record has the digest of nothing.

    **What it means.** This is a rule of a test.
    """

    from cachedoctor.buildkit import Release, Span
    from cachedoctor.rules.rule import Found, Scope, Severity, rule


    @rule(
        "CD199",
        "declared-only",
        Severity.ERROR,
        affects="v0.30 and later",
        help=("Remove the rule.",),
        scope=Scope.DOCUMENT,
        refused_by=Span(since=Release(0, 30)),
    )
    def declared_only(context):
        for document in context.documents:
            yield Found("It fires for every document.", [0], document.source)
'''


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more file in the folder of rules."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "cachedoctor")
    (folder / "cachedoctor" / "rules" / "declared_only.py").write_text(dedent(NEW_RULE).lstrip())
    cache = {"records": [record("root"), record("run", [0])]}
    (folder / "cache.json").write_text(json.dumps(cache))
    return folder


def run_copy(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cachedoctor", *arguments]
    env = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "200"}
    return subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_new_file_is_a_rule(copy: Path) -> None:
    got = run_copy(copy, "check", "cache.json", "--format", "junit")
    assert got.returncode == 1
    assert '<testcase name="CD199 declared-only"' in got.stdout
    assert run_copy(copy, "check", "cache.json", "--ignore", "declared-only").returncode == 0


def test_a_new_refusing_rule_changes_the_headline(copy: Path) -> None:
    got = run_copy(copy, "analyze", "cache.json")
    assert got.stdout.startswith("BuildKit v0.30 and later refuse to import this cache (declared-only).")
    assert "refuse to import" not in run_copy(copy, "analyze", "cache.json", "--buildkit", "v0.29.0").stdout


def test_a_new_refusing_rule_blocks_in_gitlab(copy: Path) -> None:
    (issue,) = json.loads(run_copy(copy, "check", "cache.json", "--format", "gitlab").stdout)
    assert issue["severity"] == "blocker"


def test_the_proof_of_repair_checks_a_new_refusing_rule(copy: Path) -> None:
    got = run_copy(copy, "repair", "cache.json", "-o", "repaired.json")
    assert got.returncode == 2
    assert "CD199" in got.stderr
    assert not (copy / "repaired.json").exists()


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'CD101'"):
        rules.CD101  # noqa: B018


@pytest.mark.slow
def test_a_cache_over_the_limit_is_still_repaired() -> None:
    """The size is the user's decision: the proof checks every refusing rule except the one about size."""
    records = [record("root"), *(record(f"run {index}", [index]) for index in range(9_500))]
    repaired = repair([document(records, size=9)], Options())
    assert len(repaired.data) > 1_048_576


def test_the_page_of_rules_is_up_to_date() -> None:
    """`python -m tools.generate` writes it there."""
    page = (PACKAGE.parent / "docs/rules.md").read_text(encoding="utf-8")
    assert f"<!-- [[[cog cog.out(rules()) ]]] -->\n{page_of_rules()}<!-- [[[end]]] -->\n" in page
