"""What to do fits the cache that a finding is about, and can be pasted into a shell."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.report import render
from cachedoctor.report.analysis import page
from cachedoctor.report.page import Style
from cachedoctor.rules import Finding
from cachedoctor.sources import CacheDocument, load, parse
from tests.sources.layouts import INLINE, MANIFEST_LIST, Layout
from tests.support import FIXTURES, digest, document, layers, record, run

LOOP = FIXTURES / "exporter-state/export-loop.json"
TAGS = [FIXTURES / "manifests/tag-a.json", FIXTURES / "manifests/tag-b.json"]
BAD = [record("root"), record("run", [5], layer=9)]
S3 = json.loads((FIXTURES / "manifests/s3-backend.json").read_bytes())


def findings(*documents: CacheDocument) -> dict[str, Finding]:
    return {finding.rule: finding for finding in analyze(documents).findings}


def of(*sources: Path | str) -> dict[str, Finding]:
    return findings(*(found for source in sources for found in load(str(source))))


def commands(finding: Finding) -> list[str]:
    return [step.partition("\n")[2] for step in finding.help if "\n" in step]


def bad_inline() -> dict[str, Any]:
    """An image config whose inline cache points to a layer outside the image."""
    blobs = [path.read_bytes() for path in (INLINE / "blobs/sha256").iterdir()]
    (config,) = [json.loads(data) for data in blobs if b'"rootfs"' in data]
    records = base64.b64encode(json.dumps(BAD).encode()).decode()
    return {**config, "moby.buildkit.cache.v0": records}


def test_a_file_is_repaired_into_a_file(tmp_path: Path) -> None:
    finding = of(LOOP)["CD102"]
    assert commands(finding) == [f"cachedoctor repair {LOOP} -o repaired.json"]
    got = run(*shlex.split(commands(finding)[0])[1:], cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert run("check", tmp_path / "repaired.json", "--ignore", "CD2").returncode == 0


@pytest.mark.parametrize("form", ["{}", "oci:{}"])
def test_a_layout_is_repaired_in_place(form: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "my cache")
    layout.cache({"records": [record("root"), record("run", []), *BAD]})
    layout.cache({"records": [record("root"), *BAD]}, "main")
    finding = of(form.format(layout.folder))["CD104"]
    assert commands(finding) == [f"cachedoctor repair '{form.format(layout.folder)}' --in-place"]
    got = run(*shlex.split(commands(finding)[0])[1:])
    assert got.returncode == 0, got.stderr
    assert "CD104" not in of(layout.folder)


def test_the_tag_that_was_read_is_repaired(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.cache({"records": [record("root"), *BAD]}, "main")
    layout.cache({"records": [record("root")]}, "dev")
    for found in (load(str(layout.folder), tag="main"), load(f"oci:{layout.folder}:main")):
        (command,) = commands(findings(*found)["CD104"])
        assert command == f"cachedoctor repair oci:{layout.folder}:main --in-place"
    assert run(*shlex.split(command)[1:]).returncode == 0
    assert "CD104" not in of(f"oci:{layout.folder}:main")


@pytest.mark.parametrize(
    ("reference", "tag", "command"),
    [
        ("docker://localhost:5000/app:main", None, "{} -o docker://localhost:5000/app:main-repaired"),
        ("localhost:5000/app:main", None, "{} -o docker://localhost:5000/app:main-repaired"),
        ("docker://localhost:5000/app", None, "{} -o docker://localhost:5000/app:latest-repaired"),
        ("docker://localhost:5000/app", "main", "{}:main -o docker://localhost:5000/app:main-repaired"),
        (f"docker://localhost:5000/app@{digest('x')}", None, "{} -o docker://localhost:5000/app:latest-repaired"),
        ("docker://app:main", None, "{} -o docker://library/app:main-repaired"),
        (
            "docker://localhost:5000/app:" + "x" * 128,
            None,
            "{} -o docker://localhost:5000/app:" + "x" * 119 + "-repaired",
        ),
    ],
)
def test_a_registry_gets_another_tag(reference: str, tag: str | None, command: str) -> None:
    location = parse(reference, tag)
    source, target = location.repair_arguments()
    assert f"{source} {target}" == command.format(reference)
    assert parse(target.removeprefix("-o ")).writable


def test_several_sources_are_joined() -> None:
    (command,) = commands(of(*TAGS)["CD204"])
    assert command == f"cachedoctor repair {TAGS[0]} {TAGS[1]} -o joined.json"


def test_a_name_that_cannot_be_typed_stays_a_placeholder(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[31m\n::error::.json"
    shutil.copy(LOOP, name)
    (command,) = commands(of(name)["CD102"])
    assert command == "cachedoctor repair SOURCE -o DEST"
    name = tmp_path / "$(reboot) 'x'.json"
    shutil.copy(LOOP, name)
    (command,) = commands(of(name)["CD102"])
    assert shlex.split(command) == ["cachedoctor", "repair", str(name), "-o", "repaired.json"]


def test_a_name_that_looks_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(LOOP, "--dry-run")
    (command,) = commands(of("--dry-run")["CD102"])
    assert command == "cachedoctor repair ./--dry-run -o repaired.json"
    assert run(*shlex.split(command)[1:]).returncode == 0
    assert Path("repaired.json").exists()
    layout = Layout(Path("-layout"))
    layout.cache({"records": [record("root"), *BAD]})
    (command,) = commands(of("-layout")["CD104"])
    assert command == "cachedoctor repair ./-layout --in-place"
    assert run(*shlex.split(command)[1:]).returncode == 0


def test_a_document_that_was_not_read_has_placeholders() -> None:
    assert commands(findings(document(BAD))["CD104"]) == ["cachedoctor repair SOURCE -o DEST"]


def test_an_inline_cache_is_built_again(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(bad_inline()))
    finding = of(file)["CD104"]
    assert finding.help[0].startswith("Upgrade the builder: BuildKit v0.9 and earlier write such inline caches")
    assert "moby/buildkit#2651" in finding.help[0]
    assert finding.help[1].startswith("Build the image again with --cache-to type=inline")
    assert finding.help[2].endswith("--cache-to type=registry,ref=REF,mode=max")
    assert len(finding.help) == 3
    assert not commands(finding)


def test_no_rule_advises_to_repair_an_inline_cache(tmp_path: Path) -> None:
    """Whatever the rule."""
    config = bad_inline()
    records = [*BAD, record("empty", []), record("a", [4]), record("b", [3])]
    config["moby.buildkit.cache.v0"] = base64.b64encode(json.dumps(records).encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = of(tmp_path / "config.json")
    assert {"CD102", "CD103", "CD104"} <= found.keys()
    for finding in found.values():
        assert not commands(finding)
        assert "delete the cache" not in " ".join(finding.help)


def test_a_cache_of_another_backend_is_exported_again(tmp_path: Path) -> None:
    bad = {**S3, "records": [*S3["records"], record("run", [999])]}
    (tmp_path / "gha.json").write_text(json.dumps(bad))
    finding = of(tmp_path / "gha.json")["CD104"]
    assert finding.help[0].startswith("Export to a new scope= (gha) or name= (s3, azblob)")
    assert not commands(finding)


def test_a_mix_of_caches_can_be_repaired(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(bad_inline()))
    found = analyze([*load(str(LOOP)), *load(str(tmp_path / "config.json"))]).findings
    of_file = [finding for finding in found if finding.source == str(LOOP) and finding.rule == "CD102"]
    assert commands(of_file[0]) == [f"cachedoctor repair {LOOP} -o repaired.json"]


def test_a_local_cache_is_imported_from_its_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.cache({"records": [record("root")]}, "main")
    assert of(layout.folder)["CD106"].help[0] == f"Import it with --cache-from type=local,src={layout.folder},tag=main"


def test_a_missing_blob_can_be_repaired(tmp_path: Path) -> None:
    shutil.copytree(MANIFEST_LIST, tmp_path / "layout")
    (found,) = load(str(MANIFEST_LIST))
    (tmp_path / "layout/blobs/sha256" / found.config.blobs[0][7:]).unlink()
    (command,) = commands(of(tmp_path / "layout")["CD303"])
    assert run(*shlex.split(command)[1:]).returncode == 0
    assert "CD303" not in of(tmp_path / "layout")


@pytest.mark.parametrize("width", [40, 80])
def test_a_command_stays_whole(width: int) -> None:
    analysis = analyze(load(str(LOOP)))
    command = f"cachedoctor repair {LOOP} -o repaired.json"
    assert f"     {command}" in render(page(analysis), "text", Style(width=width)).splitlines()
    assert f"   `{command}`" in render(page(analysis), "markdown", Style()).splitlines()
    for format in ("github", "gitlab", "junit", "sarif", "json"):
        assert "\\u{a}" not in render(page(analysis), format, Style())


def test_layers_of_a_document_are_whole() -> None:
    """The fixture is what the tests above take it for."""
    assert findings(document([record("root", layer=0)], layers(-1))) == {}
