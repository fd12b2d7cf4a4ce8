"""What scripts get from `import cachedoctor`."""

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

import cachedoctor
from tests.support import FIXTURES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/library.md").read_text()
DIAMONDS = FIXTURES / "manifests/diamond-28.json"


def run(script: str | Path, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, script, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_four_steps(tmp_path: Path) -> None:
    documents = cachedoctor.load(DIAMONDS)
    assert [document.kind for document in documents] == ["cache-config"]
    analysis = cachedoctor.analyze(documents, buildkit="v0.21.1")
    assert (analysis.verdict, [finding.rule for finding in analysis.findings]) == ("error", ["CD201"])
    assert analysis.survey.loop_check.middle.calls == 1_610_612_706
    repaired = cachedoctor.repair(documents, max_calls=100_000_000)
    assert repaired.lost.records == repaired.lost.results == 0
    target = tmp_path / "repaired.json"
    assert cachedoctor.write(repaired, target) == str(target)
    assert target.read_bytes() == repaired.data
    again = cachedoctor.analyze(cachedoctor.load(target))
    assert again.survey.loop_check.middle.calls == repaired.after.calls <= 100_000_000


def test_several_sources_are_judged_together() -> None:
    alone = [cachedoctor.load(FIXTURES / f"manifests/tag-{tag}.json") for tag in "ab"]
    rules = [
        {finding.rule for finding in cachedoctor.analyze(documents).findings}
        for documents in (*alone, alone[0] + alone[1])
    ]
    assert [("CD204" in ids) for ids in rules] == [False, False, True]


def test_builds_name_lines_and_hits() -> None:
    builds = cachedoctor.load_builds(FIXTURES / "hits/service-edit-v0.32.2.provenance.json")
    before = cachedoctor.load_builds(FIXTURES / "hits/service-edit-v0.32.2.before.json")
    documents = cachedoctor.load(FIXTURES / "hits/service-edit-v0.32.2.cache.json")
    limits = cachedoctor.Limits(min_hits=80)
    analysis = cachedoctor.analyze(documents, limits=limits, builds=builds, before=before)
    finding = next(finding for finding in analysis.findings if finding.rule == "CD401")
    assert [(location.file, location.line) for location in finding.locations] == [("service-edit.Dockerfile", 5)]
    assert cachedoctor.to_dict(analysis)["hits"][0]["steps"][2]["reason"] == "changed"


def test_limits_and_releases() -> None:
    documents = cachedoctor.load(FIXTURES / "manifests/diamond-20.json")
    strict = cachedoctor.Limits(max_calls=1_000)
    assert cachedoctor.analyze(documents).verdict == "warning"
    assert cachedoctor.analyze(documents, limits=strict).verdict == "error"
    assert cachedoctor.analyze(documents, limits=strict, buildkit="0.25").verdict == "ok"
    with pytest.raises(ValueError, match="is not a BuildKit release"):
        cachedoctor.analyze(documents, buildkit="latest")


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(cachedoctor.InputError, match=r"^nothing-there: cannot read it: .*$"):
        cachedoctor.load("nothing-there")
    documents = cachedoctor.load(DIAMONDS)
    with pytest.raises(cachedoctor.LimitError, match="limit of 10 calls is too low"):
        cachedoctor.repair(documents, max_calls=10)
    target = tmp_path / "there.json"
    target.write_text("mine")
    repaired = cachedoctor.repair(documents)
    with pytest.raises(cachedoctor.InputError, match="already exists"):
        cachedoctor.write(repaired, target)
    assert target.read_text() == "mine"
    cachedoctor.write(repaired, target, force=True)
    assert target.read_bytes() == repaired.data


def test_a_layout_gets_all_its_layers(tmp_path: Path) -> None:
    source = FIXTURES / "layouts/v0.21.1-image-manifest"
    repaired = cachedoctor.repair(cachedoctor.load(source))
    assert cachedoctor.write(repaired, f"oci:{tmp_path}/out", tag="repaired") == f"oci:{tmp_path}/out:repaired"
    again = cachedoctor.load(tmp_path / "out", tag="repaired")
    assert cachedoctor.analyze(again).verdict == "ok"


def test_no_subpackage_has_the_name_of_a_function() -> None:
    code = "import cachedoctor.api, cachedoctor.cli.main, cachedoctor; print(callable(cachedoctor.repair))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "True\n"
    names = {path.name for path in (ROOT / "cachedoctor").iterdir()}
    assert {f"{name}.py" for name in cachedoctor.__all__}.isdisjoint(names)
    assert names.isdisjoint(cachedoctor.__all__)


def test_an_unknown_name_raises_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'analyse'"):
        getattr(cachedoctor, "analyse")  # noqa: B009
    assert set(cachedoctor.__all__) <= set(dir(cachedoctor))


@pytest.mark.parametrize("arguments", [["-c", "import cachedoctor"], ["-m", "cachedoctor", "--help"]])
def test_startup_imports_no_slow_modules(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert loaded.isdisjoint({"google", "msgspec", "numpy", "orjson", "re2", "requests", "rich", "tempfile", "urllib3"})


def test_nothing_is_printed_on_import() -> None:
    done = subprocess.run([sys.executable, "-c", "import cachedoctor"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_page_lists_everything_public() -> None:
    """Each public function has a row with all its parameters; all other names are mentioned."""
    rows = dict(re.findall(r"^\| `(\w+)\((.*?)\)`", PAGE, re.MULTILINE))
    for name in ("load", "analyze", "repair", "write"):
        code = getattr(cachedoctor, name).__code__
        assert rows[name].replace("*, ", "").split(", ") == list(
            code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        )
    assert [name for name in cachedoctor.__all__ if name not in PAGE and name not in ("Finding", "Severity")] == []


def test_the_code_of_the_page(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0])
    shutil.copytree(FIXTURES / "manifests", tmp_path / "fixtures/manifests")
    done = run(script, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].startswith("error CD201 ")
    assert orjson.loads((tmp_path / "smaller.json").read_bytes())["records"]


def test_the_example(tmp_path: Path) -> None:
    for name in ("diamond-28", "service"):
        shutil.copy(FIXTURES / f"manifests/{name}.json", tmp_path)
    done = run(ROOT / "docs/example.py", "diamond-28.json", "service.json", "none.json", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "  none.json: cannot read it: No such file or directory\n"
    first, second, third = done.stdout.splitlines()
    assert first == "diamond-28.json: error, 1,610,612,706 loop-check calls, CD201"
    assert re.fullmatch(r"  diamond-28\.repaired\.json: [\d,]+ calls, nothing lost", second)
    assert third == "service.json: ok, 31 loop-check calls, no findings"
    again = run(ROOT / "docs/example.py", "diamond-28.repaired.json", "service.json", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")


def test_to_dict_returns_what_the_command_prints() -> None:
    documents = cachedoctor.load(DIAMONDS)
    shown = subprocess.run(
        [sys.executable, "-m", "cachedoctor", "analyze", DIAMONDS, "--format", "json"], capture_output=True, check=True
    )
    assert orjson.loads(shown.stdout) == orjson.loads(orjson.dumps(cachedoctor.to_dict(cachedoctor.analyze(documents))))
    shown = subprocess.run(
        [sys.executable, "-m", "cachedoctor", "repair", DIAMONDS, "--dry-run", "--format", "json"],
        capture_output=True,
        check=True,
    )
    assert orjson.loads(shown.stdout) == cachedoctor.to_dict(cachedoctor.repair(documents))


def test_an_empty_list_is_refused() -> None:
    """A pattern that matches no file must not look like success."""
    for function in (cachedoctor.analyze, cachedoctor.repair):
        with pytest.raises(ValueError, match="at least one document"):
            function([])


def test_invalid_arguments_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = cachedoctor.load(DIAMONDS)
    with pytest.raises(ValueError, match="'best' is not a preference: expected one of cheapest, definition, content"):
        cachedoctor.repair(documents, prefer="best")  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="0 is not a limit: expected 1 or more"):
        cachedoctor.repair(documents, max_calls=0)
    with pytest.raises(ValueError, match="-1 is not a limit: expected 1 or more"):
        cachedoctor.repair(documents, max_bytes=-1)
    for name in ("-", "a\0b"):
        with pytest.raises(ValueError, match="is not a place that a cache can be written to"):
            cachedoctor.write(cachedoctor.repair(documents), name)
    assert list(tmp_path.iterdir()) == []


def test_severities_are_compared_as_words() -> None:
    findings = cachedoctor.analyze(cachedoctor.load(DIAMONDS)).findings
    assert [finding.severity for finding in findings if finding.severity >= "warning"] == ["error"]


def test_results_can_be_sent_to_another_process() -> None:
    documents = cachedoctor.load(DIAMONDS)
    for result in (cachedoctor.analyze(documents), cachedoctor.repair(documents)):
        again = pickle.loads(pickle.dumps(result))
        assert orjson.dumps(cachedoctor.to_dict(again)) == orjson.dumps(cachedoctor.to_dict(result))


def test_counts_that_do_not_fit_give_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = cachedoctor.load(DIAMONDS)
    monkeypatch.setattr("cachedoctor.graph.paths.MOST_BITS_HELD", 10)
    for function in (cachedoctor.analyze, cachedoctor.repair):
        with pytest.raises(
            cachedoctor.InputError, match=r"diamond-28.json: cannot count its paths: their exact number"
        ):
            function(documents)


def test_nothing_is_written_that_no_build_imports(tmp_path: Path) -> None:
    documents = cachedoctor.load(FIXTURES / "manifests/too-large.json")
    with pytest.raises(cachedoctor.LimitError, match="the cache config has 1,067,255 bytes, over 1 MiB"):
        cachedoctor.write(cachedoctor.repair(documents, join=False), tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []
    cachedoctor.write(cachedoctor.repair(documents), tmp_path / "out.json", allow_too_large=True)
    repaired = cachedoctor.repair(documents, max_bytes="auto", headroom=25)
    cachedoctor.write(repaired, tmp_path / "out.json", force=True)
    assert (tmp_path / "out.json").stat().st_size <= (1 << 20) * 0.75
    with pytest.raises(ValueError, match="91 is not a headroom"):
        cachedoctor.repair(documents, headroom=91)
