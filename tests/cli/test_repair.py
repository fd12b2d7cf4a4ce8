"""`cachedoctor repair`: what it writes, what it refuses to touch, and what remains when it is killed."""

from __future__ import annotations

import json
import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests import independent
from tests.support import FIXTURES, MEASURING, run

TOO_LARGE = FIXTURES / "manifests/too-large.json"
SERVICE = FIXTURES / "manifests/service.json"
LOOP = FIXTURES / "exporter-state/export-loop.json"
TAGS = (FIXTURES / "manifests/tag-a.json", FIXTURES / "manifests/tag-b.json")
CONFIG = "74130241ac664423bff288890af130b7ffda324a039719bd7a705be33235e006"
REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
LISTED = FIXTURES / "layouts/v0.32.2-docker-list"
INLINE = FIXTURES / "layouts/v0.32.2-inline-image"
IMAGE_MANIFEST = FIXTURES / "layouts/v0.21.1-image-manifest"


def report(*arguments: str | Path) -> dict[str, Any]:
    got = run("repair", *arguments, "--format", "json")
    assert got.returncode == 0, got.stderr
    parsed = json.loads(got.stdout)
    assert isinstance(parsed, dict)
    return parsed


def refused(*arguments: str | Path) -> str:
    got = run("repair", *arguments)
    text = got.stderr.decode()
    assert got.returncode == 2
    assert got.stdout == b""
    assert "Traceback" not in text
    return text


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_merges_two_tags_into_a_file(tmp_path: Path) -> None:
    target = tmp_path / "joined.json"
    repaired = report(*TAGS, "-o", target)
    written = independent.parse(target.read_bytes())
    assert not independent.has_loop(written)
    assert repaired["lost"] == {"records": 0, "results": 0}
    assert repaired["output"] == {**repaired["output"], "path": str(target), "bytes": target.stat().st_size}
    assert (repaired["before"]["records"], repaired["after"]["records"]) == (26, 15)
    assert (repaired["added"]["joining_records"], len(written["records"]), repaired["after"]["leaves"]) == (1, 16, 1)
    assert repaired["removed"]["records"]["duplicate"] == 11
    assert list(tmp_path.iterdir()) == [target]


def test_keys_of_the_contract(tmp_path: Path) -> None:
    repaired = report(LOOP, "-o", tmp_path / "out.json")
    assert repaired["command"] == "repair"
    for side in ("before", "after"):
        assert {"records", "links", "layers", "results", "bytes", "calls", "loops", "leaves"} <= repaired[side].keys()
        assert repaired[side]["calls"].keys() == {"value", "log10"}
    assert {"loop", "pruned", "dangling"} <= repaired["removed"]["links"].keys()
    assert {"duplicate", "dead", "invalid"} <= repaired["removed"]["records"].keys()
    assert repaired["removed"]["layers"].keys() == {"unused"}
    assert repaired["output"].keys() == {"path", "digest", "bytes", "replaced"}
    assert repaired["added"] == {"joining_records": 0}


def test_screen_says_what_was_removed_and_what_it_means(tmp_path: Path) -> None:
    lines = run("repair", LOOP, "-o", "out.json", cwd=tmp_path).stdout.decode().splitlines()
    assert lines[0].startswith("Wrote out.json: ")
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "every record that can be derived and every result is in it" in text
    assert "Dockerfile" in text
    assert "docs/repair.md" in text


def test_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("mine")
    assert "already exists; use --force to overwrite" in refused(SERVICE, "-o", target)
    assert target.read_text() == "mine"
    report(SERVICE, "-o", target, "--force")
    assert target.read_bytes() == SERVICE.read_bytes()


def test_input_may_be_the_output_with_force(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    shutil.copy(LOOP, file)
    report(file, "-o", file, "--force")
    assert not independent.refusals(independent.parse(file.read_bytes()))


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    repaired = report(SERVICE, "-o", tmp_path / "out.json", "--dry-run")
    assert repaired["output"]["path"] is None
    assert list(tmp_path.iterdir()) == []
    assert report(SERVICE, "--dry-run")["lost"] == {"records": 0, "results": 0}


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["1048576", "1MiB", "1024 KiB", "1.04mb", "1e6", "-5", "x", "1MiBB"])
def test_sizes(limit: str, tmp_path: Path) -> None:
    got = run("repair", TOO_LARGE, "-o", tmp_path / "out.json", "--max-bytes", limit)
    good = limit in ("1048576", "1MiB", "1024 KiB", "1.04mb")
    assert got.returncode == (0 if good else 2)
    assert (tmp_path / "out.json").exists() is good
    if good:
        assert (tmp_path / "out.json").stat().st_size <= 1 << 20


@pytest.mark.slow
def test_refuses_an_unreachable_limit(tmp_path: Path) -> None:
    assert "--drop-oldest may give up" in refused(TOO_LARGE, "-o", tmp_path / "out", "--max-bytes", "10KB")
    repaired = report(TOO_LARGE, "-o", tmp_path / "out", "--max-bytes", "40KB", "--drop-oldest")
    assert repaired["lost"]["records"] == len(repaired["removed"]["records"]["dropped"]) > 0


def test_requires_a_destination() -> None:
    assert "say where to write" in refused(SERVICE)
    assert "--in-place takes one layout" in refused(SERVICE, "-o", "x", "--in-place")


@pytest.mark.parametrize("layout", [LISTED, IMAGE_MANIFEST])
def test_writes_a_complete_layout(layout: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    repaired = report(layout, "-o", f"oci:{target}:main")
    assert repaired["output"]["path"] == f"oci:{target}:main"
    analyzed = json.loads(run("analyze", f"oci:{target}:main", "--format", "json").stdout)
    assert analyzed["inputs"][0]["digest"] == repaired["output"]["digest"]
    assert [finding["rule"] for finding in analyzed["findings"]] == ["CD106"]
    before = {name: data for name, data in tree(layout).items() if "sha256" in name}
    assert tree(target).items() >= before.items()


def test_moves_a_tag_only_with_force(tmp_path: Path) -> None:
    target = tmp_path / "new"
    report(LISTED, "-o", f"{target}/")
    before = tree(target)
    assert "has a tag 'latest' already" in refused(LISTED, "-o", target)
    report(LISTED, "-o", f"oci:{target}:other")
    report(LISTED, "-o", target, "--force")
    after = tree(target)
    index = json.loads(after.pop("index.json"))
    assert sorted(manifest["annotations"][REF_NAME] for manifest in index["manifests"]) == ["latest", "other"]
    before.pop("index.json")
    assert after == before


def test_in_place_moves_or_sets_a_tag(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    before = tree(layout)
    report(layout, "--in-place", "--tag", "fixed", "--prune", "minimal")
    assert {"latest", "fixed"} == tags(layout)
    report(layout, "--in-place", "--prune", "minimal")
    assert {"latest", "fixed"} == tags(layout)
    after = tree(layout)
    assert all(after[name] == data for name, data in before.items() if name != "index.json")
    reports = [run("analyze", f"oci:{layout}:{tag}", "-f", "json").stdout for tag in ("latest", "fixed")]
    origin = independent.parse((LISTED / "blobs/sha256" / CONFIG).read_bytes())
    inputs = sum(len(record.get("inputs", [])) for record in origin["records"])
    assert {json.loads(document)["graph"]["links"] for document in reports} == {inputs}


def test_in_place_repairs_the_folder_that_was_read(tmp_path: Path) -> None:
    """A folder beside it that is named like a reference to it is another one."""
    for name in ("layout", "oci:layout"):
        shutil.copytree(LISTED, tmp_path / name)
    before = tree(tmp_path / "oci:layout")
    got = run("repair", "layout", "--in-place", "--prune", "minimal", cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert tree(tmp_path / "oci:layout") == before
    assert tree(tmp_path / "layout") != before


def test_in_place_moves_the_tag_that_containerd_gave(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {IMAGE_NAME: "registry.example.com/app:main", REF_NAME: "other"}
    (layout / "index.json").write_text(json.dumps(index))
    links = json.loads(run("analyze", layout, "-f", "json").stdout)["graph"]["links"]
    report(f"oci:{layout}:main", "--in-place", "--prune", "minimal")
    assert tags(layout) == {"main", "other"}
    for tag in ("main", "other"):
        got = run("analyze", f"oci:{layout}:{tag}", "-f", "json")
        assert (json.loads(got.stdout)["graph"]["links"] < links) is (tag == "main")


def test_in_place_refuses_a_layout_whose_index_is_the_cache(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    shutil.copy(layout / "blobs/sha256" / manifest, layout / "index.json")
    before = tree(layout)
    refusal = refused(layout, "--in-place", "--prune", "minimal")
    assert "index.json: is itself a cache, and not a list of tags" in refusal
    assert tree(layout) == before


def test_in_place_never_advises_to_replace_a_tar(tmp_path: Path) -> None:
    tar = shutil.make_archive(str(tmp_path / "layout"), "tar", LISTED)
    text = refused(tar, "--in-place")
    assert "only a cache in an OCI layout folder can be repaired in place" in text
    assert "--force" not in text


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_refuses_what_is_probably_a_mistake(dry: tuple[str, ...], tmp_path: Path) -> None:
    """Before the work, and in a dry run too."""
    layout, file = tmp_path / "layout", tmp_path / "file.json"
    shutil.copytree(LISTED, layout)
    file.write_text("{}")
    for target, problem in (
        (f"{layout}:main", f"not the name of a file; for a tag of a layout: oci:{layout}:main"),
        ("s3://bucket/cache", "not the name of a file; expected one of: docker://"),
        (file, "already exists; use --force to overwrite"),
    ):
        assert problem in refused(SERVICE, "-o", target, *dry)
    assert file.read_text() == "{}"


def test_keeps_an_index_that_cannot_be_rewritten(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    index = json.loads((layout / "index.json").read_text()) | {"annotations": json.loads("[" * 300 + "]" * 300)}
    (layout / "index.json").write_text(json.dumps(index))
    before = tree(layout)
    assert "index.json: expected an OCI index" in refused(layout, "--in-place", "--tag", "fixed")
    assert tree(layout) == before


def tags(layout: Path) -> set[str]:
    index = json.loads((layout / "index.json").read_text())
    return {manifest["annotations"][REF_NAME] for manifest in index["manifests"]}


@pytest.mark.parametrize("target", ["oci:", "oci::x", "oci:new:bad tag", "oci:new:-x"])
def test_invalid_targets(target: str, tmp_path: Path) -> None:
    got = run("repair", LISTED, "-o", target, cwd=tmp_path)
    assert got.returncode == 2
    assert got.stderr.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "cannot write it" in refused(SERVICE, "-o", tmp_path / "pipe", "--force")


@pytest.mark.parametrize("empty", ['{"records":[]}', '{"layers":[]}', '{"records":[{"inputs":[[]]}]}'])
def test_refuses_to_write_an_empty_cache(empty: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text(empty)
    assert "nothing would be left" in refused(tmp_path / "cache", "-o", tmp_path / "out")
    shown = " ".join(run("analyze", tmp_path / "cache").stdout.decode().split())
    assert "t has no record that a build could use." in shown
    assert shown.startswith("BuildKit v0.25 and later refuse" if "inputs" in empty else "This cache is empty: it")


def test_contradictory_options() -> None:
    assert "name a file" in refused(SERVICE, "-o", "-")
    assert "--drop-oldest needs --max-bytes" in refused(SERVICE, "-o", "x", "--drop-oldest")
    assert "--headroom needs --max-bytes" in refused(SERVICE, "-o", "x", "--headroom", "10%")
    assert "--headroom needs --max-bytes" in refused(SERVICE, "-o", "x", "--headroom", "10%", "--max-calls", "auto")
    assert "only once" in refused("-", "-", "-o", "x")


@pytest.mark.slow
def test_many_loops_and_a_large_one(tmp_path: Path) -> None:
    """A thousand loops of two records each, and one loop of two thousand records."""
    many: list[dict[str, Any]] = [{"digest": "root"}]
    for index in range(1, 2001, 2):
        many.append({"digest": f"{index}", "inputs": [[{"link": 0}, {"link": index + 1}]]})
        many.append({"digest": f"{index + 1}", "inputs": [[{"link": index}]]})
    ring: list[dict[str, Any]] = [{"digest": "root"}]
    ring += [{"digest": f"{i}", "inputs": [[{"link": i or 2000}, {"link": 0}]]} for i in range(2000)]
    for records, loops in ((many, 1000), (ring, 1)):
        file = tmp_path / "cache.json"
        file.write_text(json.dumps({"records": records}))
        repaired = report(file, "-o", tmp_path / "out.json", "--force")
        assert repaired["removed"]["links"]["loop"] == loops
        assert repaired["after"]["loops"] == 0


def test_links_to_dead_records_are_counted(tmp_path: Path) -> None:
    dead = {"digest": "dead", "inputs": [[{"link": 2}]]}
    records = [{"digest": "root"}, {"digest": "a", "inputs": [[{"link": 0}, {"link": 2}, {"link": 2}]]}, dead]
    file = tmp_path / "cache.json"
    file.write_text(json.dumps({"records": records}))
    repaired = report(file, "--dry-run")
    assert (repaired["before"]["links"], repaired["after"]["links"]) == (4, 1)
    assert repaired["removed"]["links"]["dangling"] == 2


def test_config_alone_does_not_make_a_layout(tmp_path: Path) -> None:
    assert "write the cache config to a file instead" in refused(SERVICE, "-o", f"oci:{tmp_path / 'new'}")
    assert not (tmp_path / "new").exists()


def test_turns_a_folder_into_a_layout_only_with_force(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "a folder with other files in it, and not a layout" in refused(LISTED, "-o", tmp_path)
    assert tree(tmp_path) == {"notes.txt": b"mine"}
    report(LISTED, "-o", tmp_path, "--force")
    assert tree(tmp_path).items() >= {"notes.txt": b"mine"}.items()
    assert (tmp_path / "index.json").exists()


@pytest.mark.slow
def test_warns_about_paths_that_remain(tmp_path: Path) -> None:
    """A cache that was too large to import can hang the next export once it is small enough."""
    fitting = ("repair", TOO_LARGE, "--dry-run", "--max-bytes", "1MiB", "--headroom", "0")
    assert report(*fitting[1:])["after"]["calls"]["log10"] > 15
    assert "--max-calls" in run(*fitting).stdout.decode()
    assert "--max-calls" not in run(*fitting, "--max-calls", "100000000").stdout.decode()


def test_refuses_a_layout_without_layers(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    for layer in json.loads((LISTED / "blobs/sha256" / CONFIG).read_text())["layers"]:
        (layout / "blobs" / layer["blob"].replace(":", "/")).unlink()
    assert "a layer that is not there" in refused(layout, "-o", f"oci:{tmp_path / 'new'}")
    assert not (tmp_path / "new/index.json").exists()


def test_refuses_a_layer_that_links_out_of_the_layout(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(LISTED, source)
    config = json.loads((source / "blobs/sha256" / CONFIG).read_text())
    layer = source / "blobs" / config["layers"][0]["blob"].replace(":", "/")
    layer.rename(tmp_path / "elsewhere")
    layer.symlink_to(tmp_path / "elsewhere")
    assert "a link that leads out of the layout" in refused(source, "-o", f"oci:{target}:t")
    assert not (target / "index.json").exists()


@pytest.mark.parametrize("index", ["[]", "{}", '{"manifests":[1]}'])
def test_keeps_an_invalid_index(index: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(index)
    assert "expected an OCI index" in refused(LISTED, "-o", f"oci:{tmp_path}:t", "--force")
    assert tree(tmp_path) == {"index.json": index.encode()}


def test_copies_layers_that_cannot_be_linked(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        shutil.copytree(LISTED, f"{folder}/source")
        report(Path(folder, "source"), "-o", f"oci:{tmp_path / 'new'}:t")
        before = tree(Path(folder, "source"))
    written = tree(tmp_path / "new")
    layers = json.loads(before[f"blobs/sha256/{CONFIG}"])["layers"]
    names = {layer["blob"].replace(":", "/") for layer in layers}
    assert names
    assert all(written[f"blobs/{name}"] == before[f"blobs/{name}"] for name in names)
    assert not [name for name in written if "/." in name]


def test_unwritable_destinations(tmp_path: Path) -> None:
    assert "cannot write it" in refused(SERVICE, "-o", tmp_path / "no" / "out.json")
    (tmp_path / "file").write_text("")
    assert "cannot write it" in refused(LISTED, "-o", f"oci:{tmp_path / 'file' / 'layout'}")


def limited() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


@pytest.mark.slow
def test_full_disk_gives_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the file size makes a write fail halfway, as a full disk does."""
    target = tmp_path / "out.json"
    target.write_text("old")
    got = subprocess.run(
        [sys.executable, "-m", "cachedoctor", "repair", str(TOO_LARGE), "-o", target, "--force", "--allow-too-large"],
        capture_output=True,
        check=False,
        preexec_fn=limited,
        # Measuring coverage writes files, too, and would complain about the limit.
        env={name: value for name, value in os.environ.items() if name not in MEASURING},
    )
    assert got.returncode == 2
    assert got.stderr.count(b"\n") == 1
    assert b"cannot write it" in got.stderr
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [False, True])
def test_killed_at_any_time(layout: bool, tmp_path: Path) -> None:
    """The target is whole or as it was, and the input is untouched."""
    choose = random.Random(1)
    source = tmp_path / "source"
    if layout:
        shutil.copytree(LISTED, source)
    else:
        shutil.copy(TOO_LARGE, source)
    target = tmp_path / "target"
    arguments = [str(source), "-o", f"oci:{target}:t" if layout else str(target), "--force", "--allow-too-large"]
    start = time.monotonic()
    assert run("repair", *arguments).returncode == 0
    whole = time.monotonic() - start
    origin = tree(source) if layout else source.read_bytes()
    expected = tree(target) if layout else target.read_bytes()
    killed = 0
    for _ in range(25):
        shutil.rmtree(target, ignore_errors=True)
        target.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", "repair", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(whole * choose.uniform(0.3, 1.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if layout:
            if (target / "index.json").exists():
                assert {name: data for name, data in tree(target).items() if "/." not in name} == expected
        elif target.exists():
            assert target.read_bytes() == expected
        assert (tree(source) if layout else source.read_bytes()) == origin
    assert killed > 5


@pytest.mark.slow
def test_output_does_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    written = set()
    for seed in ("0", "1", "7", "12345"):
        target = tmp_path / f"{seed}.json"
        got = run("repair", *TAGS, LOOP, "-o", target, "-q", env={"PYTHONHASHSEED": seed}, process=True)
        assert got.returncode == 0
        written.add(target.read_bytes())
    assert len(written) == 1


def test_unknown_fields_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_text('{"records":[{"digest":"a","note":1}]}')
    got = run("repair", file, "-o", tmp_path / "out.json")
    assert b"records[].note" in got.stderr
    assert os.fspath(file).encode() in got.stderr


def test_closed_standard_input_gives_one_line(tmp_path: Path) -> None:
    script = f"{sys.executable} -m cachedoctor repair - -o {tmp_path}/o.json <&-"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


def shown(*arguments: str | Path, code: int = 0) -> str:
    """What a repair prints, with blanks instead of line breaks."""
    got = run("repair", *arguments)
    assert got.returncode == code, got.stderr
    return " ".join(got.stdout.decode().split())


def test_writes_nothing_that_no_build_imports(tmp_path: Path) -> None:
    """The message has a command that can be pasted, and writes a cache that is imported."""
    target = tmp_path / "out file.json"
    text = refused(TOO_LARGE, "-o", target, "--max-bytes", "2MiB")
    assert text.startswith(
        "cachedoctor: nothing was written: BuildKit will not import it: the cache config has 1,067,731 "
    )
    assert not target.exists()
    command = shlex.split(text.partition(" Run: ")[2])
    assert command == ["cachedoctor", "repair", str(TOO_LARGE), "-o", str(target), "--max-bytes", "auto"]
    done = run(*command[1:])
    assert done.returncode == 0, done.stderr
    assert 900_000 < target.stat().st_size <= (1 << 20) * 0.9


def test_the_command_to_paste_keeps_the_places_of_words(tmp_path: Path) -> None:
    given = ["-o", str(tmp_path / "out.json"), "--max-bytes=2MiB", "--no-join"]
    text = refused(*given, "--", TOO_LARGE)
    command = shlex.split(text.partition(" Run: ")[2])
    assert command == ["cachedoctor", "repair", *given[:2], "--no-join", "--max-bytes", "auto", "--", str(TOO_LARGE)]


def test_writes_what_no_build_imports_if_asked_to(tmp_path: Path) -> None:
    text = shown(TOO_LARGE, "-o", tmp_path / "out.json", "--allow-too-large")
    assert (
        "BuildKit will not import it: the cache config has 1,067,731 bytes, over 1 MiB. Add --max-bytes auto." in text
    )
    assert "would not be written" not in text
    assert (tmp_path / "out.json").stat().st_size == 1_067_731


def test_a_dry_run_says_what_would_not_be_written() -> None:
    lines = run("repair", TOO_LARGE, "--dry-run").stdout.decode().splitlines()
    assert "So it would not be written. Add --max-bytes auto." in " ".join(lines)
    after = lines[lines.index("To change that, run") + 1]
    assert shlex.split(after)[-4:] == ["--max-bytes", "auto", "--max-calls", "auto"]
    assert report(TOO_LARGE, "--dry-run")["importable"] is False
    assert report(TOO_LARGE, "--dry-run", "--max-bytes", "auto")["importable"] is True


def annotated(records: int) -> bytes:
    """A config as the gha backend writes it, with so many roots."""
    layer = {"blob": "sha256:" + "a" * 64, "parent": -1, "annotations": {"mediaType": "m"}}
    return json.dumps(
        {"layers": [layer], "records": [{"digest": f"sha256:{index:064}"} for index in range(records)]}
    ).encode()


def test_caches_without_a_limit_may_be_larger(tmp_path: Path) -> None:
    (tmp_path / "gha.json").write_bytes(annotated(12_000))
    repaired = report(tmp_path / "gha.json", "-o", tmp_path / "out.json", "--max-bytes", "auto")
    assert repaired["output"]["bytes"] > 1 << 20
    assert repaired["limits"] == {"bytes": None, "bytes_with_headroom": None, "calls": None}


@pytest.mark.parametrize("in_place", [False, True])
def test_says_if_there_is_nothing_to_fix(in_place: bool, tmp_path: Path) -> None:
    layout, target = tmp_path / "layout", tmp_path / "out.json"
    shutil.copytree(LISTED, layout)
    before = tree(layout)
    text = shown(layout, *(["--in-place"] if in_place else ["-o", target]))
    assert text.startswith(
        "Nothing to fix: BuildKit imports this cache, and it has one leaf and no loops, duplicates, dead "
    )
    assert tree(layout) == before
    if in_place:
        assert "is left as it was." in text
    else:
        assert "a copy, byte for byte." in text
        assert target.read_bytes() == (LISTED / "blobs/sha256" / CONFIG).read_bytes()
    assert report(layout, "--dry-run")["nothing_to_fix"] is True
    assert report(layout, "--dry-run", "--prune", "minimal")["nothing_to_fix"] is False


def test_sets_a_new_tag_even_if_there_is_nothing_to_fix(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(LISTED, layout)
    assert "Nothing to fix" in shown(layout, "--in-place", "--tag", "fixed")
    assert tags(layout) == {"latest", "fixed"}


def test_a_tag_that_names_nothing_is_something_to_fix(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(IMAGE_MANIFEST, layout)
    findings = json.loads(run("analyze", layout, "-f", "json").stdout)["findings"]
    assert [finding["rule"] for finding in findings] == ["CD106"]
    assert shown(layout, "--in-place").startswith("Wrote ")
    assert json.loads(run("analyze", layout, "-f", "json").stdout)["findings"] == []


def test_a_reformatted_cache_is_written_as_buildkit_does(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text(json.dumps(json.loads(SERVICE.read_bytes()), indent=2))
    text = shown(tmp_path / "cache.json", "-o", tmp_path / "out.json")
    assert text.startswith("Nothing to fix")
    assert "the same, as BuildKit writes it." in text
    assert (tmp_path / "out.json").read_bytes() == SERVICE.read_bytes()


def test_nothing_to_fix_is_not_said_of_several_leaves() -> None:
    text = shown(FIXTURES / "manifests/accumulated.json", "--dry-run", "--no-join")
    assert text.startswith("Dry run, nothing written. The repaired cache has 287,854 bytes;")
    assert "It has 6 leaves, so importers of BuildKit v0.25 to v0.32 lose links. Leave out --no-join." in text
    joined = shown(FIXTURES / "manifests/accumulated.json", "--dry-run")
    assert "Added a joining record, which links to the 6 leaves, for importers of BuildKit v0.25 to v0.32" in joined


@pytest.mark.parametrize(
    ("given", "most"),
    [([], 0.9), (["--headroom", "0"], 1.0), (["--headroom", "0%"], 1.0), (["--headroom", "25 %"], 0.75)],
)
def test_a_limit_on_bytes_leaves_headroom(given: list[str], most: float) -> None:
    repaired = report(FIXTURES / "manifests/accumulated.json", "--dry-run", "--max-bytes", "200000", *given)
    assert 200_000 * most - 100 < repaired["output"]["bytes"] <= 200_000 * most
    assert repaired["limits"] == {"bytes": 200_000, "bytes_with_headroom": round(200_000 * most), "calls": None}


@pytest.mark.parametrize(
    ("option", "value"),
    [*(("--headroom", value) for value in ("91", "-1", "x", "10%%", "")), *(("--max-calls", value) for value in "0x")],
)
def test_invalid_numbers(option: str, value: str) -> None:
    assert f"Invalid value for '{option}'" in refused(SERVICE, "--dry-run", "--max-bytes", "1MiB", option, value)


def test_a_limit_may_hold_without_its_headroom() -> None:
    least = report(SERVICE, "--dry-run", "--max-bytes", "3000", "--headroom", "0")["output"]["bytes"]
    text = shown(SERVICE, "--dry-run", "--max-bytes", "3000")
    assert "The limit of 3,000 bytes is kept, but not the headroom: it has " in text
    assert "removing more alternatives would not make it smaller." in " ".join(text.split())
    assert report(SERVICE, "--dry-run", "--max-bytes", "3000")["output"]["bytes"] <= least
    assert "the limit of 2,000 bytes (1,800 with the headroom) is too low" in refused(
        SERVICE, "--dry-run", "--max-bytes", "2000"
    )


def doubling(steps: int) -> bytes:
    """A chain in which no alternative can be removed, and every step has twice the paths of the one before."""
    records: list[dict[str, Any]] = [{"digest": "root"}]
    records += [{"digest": f"{step}", "inputs": [[{"link": step}]] * 2} for step in range(steps)]
    return json.dumps({"records": records}).encode()


@pytest.mark.parametrize(
    ("steps", "chosen", "limit"),
    [
        (20, "5.7 million, up to which no rule says anything", "5714285"),
        (24, "343 million, up to which there is only a warning; the fewest are 34 million", "342857142"),
        (30, "2.1 billion, the fewest that keep every record, which are still an error", str((1 << 31) - 1)),
    ],
)
def test_calls_are_chosen_by_what_the_rules_say(steps: int, chosen: str, limit: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    cache.write_bytes(doubling(steps))
    assert f"--max-calls auto chose {chosen}." in shown(cache, "--dry-run", "--max-calls", "auto")
    assert report(cache, "-o", tmp_path / "out.json", "--max-calls", "auto")["limits"]["calls"] == limit
    found = json.loads(run("analyze", tmp_path / "out.json", "-f", "json").stdout)["findings"]
    severities = [finding["severity"] for finding in found if finding["rule"] == "CD201"]
    assert severities == {20: [], 24: ["warning"], 30: ["error"]}[steps]


def test_chosen_calls_silence_the_rule(tmp_path: Path) -> None:
    report(FIXTURES / "manifests/accumulated.json", "-o", tmp_path / "out.json", "--max-calls", "auto")
    found = json.loads(run("analyze", tmp_path / "out.json", "-f", "json").stdout)
    assert [finding["rule"] for finding in found["findings"]] == []


def test_results_that_are_gone_are_in_the_first_sentence(tmp_path: Path) -> None:
    """Those of records that cannot be derived as well; all are accounted for."""
    layer = {"blob": "sha256:" + "a" * 64, "parent": -1}
    records = [
        {"digest": "a", "layers": [{"layer": 0}, {"layer": 7}, {"layer": 0}]},
        {"digest": "b", "inputs": [[]], "layers": [{"layer": 0}]},
    ]
    cache = tmp_path / "cache.json"
    cache.write_text(json.dumps({"layers": [layer], "records": records}))
    text = shown(cache, "--dry-run")
    assert (
        "every record that can be derived and 1 of 4 results are in it. 2 results are gone: 1 because their layers are "
        "outside the document or in a cycle and 1 because their records cannot be derived. 1 more was a duplicate."
        in text
    )
    removed = report(cache, "--dry-run")["removed"]["results"]
    assert removed == {"duplicate": 1, "dangling": 1, "missing_blob": 0, "dead": 1}


def test_says_that_an_image_stays_as_it_is() -> None:
    changed = run("repair", INLINE, "--dry-run", "--prune", "minimal", env={"COLUMNS": "999"})
    text = changed.stdout.decode()
    assert "Build the image again" not in run("repair", INLINE, "--dry-run").stdout.decode()
    assert f"BuildKit reads the inline cache of {INLINE} from the image, which stays as it is." in text
    assert "--cache-from type=registry,ref=HOST/REPO:TAG" in text
    config = next(
        path for path in (INLINE / "blobs/sha256").iterdir() if b"moby.buildkit.cache.v0" in path.read_bytes()
    )
    assert b"BuildKit cannot load the results; repair the image itself" in run("repair", config, "--dry-run").stderr


def test_an_image_in_a_registry_gets_a_tag_beside_it(registry: str) -> None:
    image = f"docker://{registry}/app:inline"
    assert f"-o docker://{registry}/app:inline-cache" in shown(image, "--dry-run", "--prune", "minimal")
    text = shown(image, "-o", f"docker://{registry}/app:inline-cache", "--force")
    assert f"--cache-from type=registry,ref={registry}/app:inline-cache." in text
    assert run("check", f"docker://{registry}/app:inline-cache").returncode == 0
