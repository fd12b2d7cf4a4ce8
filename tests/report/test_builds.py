"""With the record of a build, reports name lines of the Dockerfile wherever they name records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import pytest

from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.analysis.check import Policy, check
from cachedoctor.builds import recognize as recognition
from cachedoctor.builds.build import Location
from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.builds.known import described, placed
from cachedoctor.builds.names import Name
from cachedoctor.graph.survey import Survey
from cachedoctor.repairs.repair import Options, repair
from cachedoctor.report import render
from cachedoctor.report.page import Style
from cachedoctor.report.repair import page as page_of_repair
from cachedoctor.rules import Limits, Severity
from cachedoctor.sources import CacheDocument, load
from tests.report.rendered import rendered
from tests.support import FIXTURES, build, document, location, name, recognizing, record, step

DIAMONDS = str(FIXTURES / "manifests/diamond-20.json")
FILE = "docker/Dockerfile"
LOOP = [record("root"), record("a", [0, 2]), record("b", [1])]
PLAIN = [record("root"), record("a", [0])]


def lines(number: int) -> tuple[Location, ...]:
    """The line that makes a record, made up from its index."""
    return (location(number + 1, f"COPY --from=s{number} /f /g", FILE),)


@contextmanager
def known(hits: tuple[Hit, ...] = (), *, sure: bool = True) -> Iterator[None]:
    """As if a build named every record but the first."""
    steps = [step(*lines(number)) for number in range(100)]

    def name_of(document: int, number: int, digest: str) -> Name | None:
        return name(*lines(number), sure=sure) if number else None

    with recognizing(name_of, build(*steps, dockerfile=FILE), hits=[Hits(0, hits)] if hits else []):
        yield


def diamonds() -> Analysis:
    with known():
        return check(load(DIAMONDS), Policy(limits=Limits(max_calls=1)))


def explosion(analysis: Analysis) -> Location:
    """The first line of the finding about paths, which must be where paths part."""
    finding = next(finding for finding in analysis.findings if finding.name == "path-explosion")
    survey = analysis.survey
    hotspot = next(hotspot for hotspot in survey.hotspots if hotspot.fan_out > 1)
    assert finding.locations[0] == lines(survey.loop_check.records[hotspot.item])[0]
    return finding.locations[0]


def test_messages_and_tables_name_lines() -> None:
    analysis = diamonds()
    line = explosion(analysis)
    text = " ".join(rendered(analysis, "text", Style(width=300)).split())
    assert f"% of them pass through {FILE}:{line.line} {line.text} (record {line.line - 1}), which has" in text
    table = text.partition("Hotspots of the loop check")[2]
    assert f"{FILE}:{line.line} {line.text}" in table
    assert "--build" not in text


def test_without_a_build_one_line_says_how_to_get_names() -> None:
    text = rendered(check(load(DIAMONDS), Policy(limits=Limits(max_calls=1))), "text", Style(width=300))
    hints = [line for line in text.splitlines() if "--build" in line]
    assert len(hints) == 1
    assert "docker buildx history export -o build.dockerbuild" in hints[0]
    assert "gh run download RUN --pattern '*.dockerbuild'" in hints[0]


def test_a_report_that_names_no_steps_does_not_ask_for_a_build() -> None:
    text = rendered(analyze(load(str(FIXTURES / "manifests/service.json"))), "text")
    assert "--build" not in text


def test_loops_name_lines() -> None:
    with known():
        analysis = analyze([document(LOOP)])
    assert analysis.survey.loops
    text = rendered(analysis, "text", Style(width=300))
    assert f"→ {FILE}:2 COPY --from=s1 /f /g (record 1)" in text
    members = json.loads(rendered(analysis, "json"))["loops"][0]["members"]
    assert {member["label"] for member in members} == {
        f"{FILE}:{number} COPY --from=s{number - 1} /f /g" for number in (2, 3)
    }
    assert members[0]["locations"][0]["file"] == FILE


def test_json_has_the_lines_of_findings_and_hotspots() -> None:
    analysis = diamonds()
    parsed = json.loads(rendered(analysis, "json"))
    line = explosion(analysis)
    finding = next(finding for finding in parsed["findings"] if finding["rule"] == "CD201")
    assert finding["locations"][0] == {"file": FILE, "line": line.line, "end_line": line.line, "text": line.text}
    assert len(parsed["names"]) == analysis.survey.graph.size - 1
    assert parsed["builds"][0]["records_named"] == len(parsed["names"])
    assert parsed["builds"][0]["records_unnamed"] == 1
    for hotspot in parsed["hotspots"]:
        expected = [place.line for place in lines(hotspot["record"])] if hotspot["record"] else []
        assert [place["line"] for place in hotspot["locations"]] == expected


def test_machines_get_the_line_where_paths_double() -> None:
    analysis = diamonds()
    line = explosion(analysis)
    run = json.loads(rendered(analysis, "sarif"))["runs"][0]
    result = next(result for result in run["results"] if result["ruleId"] == "CD201")
    place = result["locations"][0]["physicalLocation"]
    assert len(result["locations"]) == 1
    assert place["artifactLocation"]["uri"] == FILE
    assert place["region"] == {"startLine": line.line, "endLine": line.line}
    related = [place["physicalLocation"]["artifactLocation"]["uri"] for place in result["relatedLocations"]]
    assert set(related[:-1]) == {FILE}
    assert related[-1] != FILE
    first = rendered(analysis, "github").splitlines()[0]
    assert first.startswith(f"::error file={FILE},line={line.line},endLine={line.line},title=CD201 path-explosion")
    issues = json.loads(rendered(analysis, "gitlab"))
    issue = next(issue for issue in issues if issue["check_name"] == "path-explosion")
    assert issue["location"] == {"path": FILE, "lines": {"begin": line.line, "end": line.line}}
    failure = ElementTree.fromstring(rendered(analysis, "junit")).find(".//failure")
    assert failure is not None
    assert failure.attrib["message"].startswith(f"{FILE}:{line.line} {line.text}: ")


def test_notes_are_not_shown_at_lines() -> None:
    """Nobody has to change a line because of records that only take up space."""
    with known():
        analysis = analyze([document([record("root"), record("a", [0]), record("a", [0])])])
    assert [(str(finding.severity), bool(finding.locations)) for finding in analysis.findings] == [("note", True)]
    assert f"file={FILE}" not in rendered(analysis, "github")
    assert FILE not in json.loads(rendered(analysis, "sarif"))["runs"][0]["results"][0]["locations"]


@pytest.mark.parametrize("path", ["/srv/app/Dockerfile", "../app/Dockerfile", "./app//Dockerfile"])
def test_paths_stay_in_the_repository(path: str) -> None:
    place = location(7, "RUN make", path)
    with recognizing(lambda *record: name(place), build(step(place), dockerfile=path)):
        analysis = check(load(DIAMONDS), Policy(limits=Limits(max_calls=1)))
    uri = json.loads(rendered(analysis, "sarif"))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert uri["artifactLocation"]["uri"].endswith("app/Dockerfile")
    assert not uri["artifactLocation"]["uri"].startswith((".", "/"))


# Names


def test_names_say_how_sure_they_are() -> None:
    one, two, three = (location(number, "COPY f /f") for number in (8, 22, 30))
    assert described(name(one)) == "Dockerfile:8 COPY f /f"
    assert described(name(one, two, three)) == "Dockerfile:8 COPY f /f +2"
    assert described(name(one, sure=False)) == "perhaps Dockerfile:8 COPY f /f"
    unsure = described(name(one, two, three, sure=False))
    assert unsure == "perhaps Dockerfile:8 COPY f /f, or the same instruction in Dockerfile:22, 30"


def test_unsure_names_are_said_to_be_so() -> None:
    with known(sure=False):
        text = rendered(check(load(DIAMONDS), Policy(limits=Limits(max_calls=1))), "text", Style(width=300))
    assert f"pass through perhaps {FILE}:" in text


def test_a_dockerfile_is_placed_only_if_its_folder_is_unknown() -> None:
    bare = build(step(location(3)), step(location(1, file="other")))
    moved = placed(bare, "docker/app.Dockerfile")
    assert moved.dockerfile == "docker/app.Dockerfile"
    assert [place.file for step in moved.steps for place in step.locations] == ["docker/app.Dockerfile", "other"]
    whole = build(step(location(3, file=FILE)), dockerfile=FILE)
    assert placed(whole, "elsewhere/Dockerfile") == whole


def test_a_build_that_names_nothing_is_said() -> None:
    with recognizing(lambda *record: None, build(source="other.dockerbuild", platform="linux/arm64")):
        text = rendered(analyze([document(LOOP)]), "text", Style(width=300))
    assert "other.dockerbuild (linux/arm64) names none of the 3 records" in text


# Hits

HITS = (
    Hit(1, State.HIT, None, ""),
    Hit(2, State.MISS, Reason.CHANGED, "the environment variable VERSION changed"),
    Hit(3, State.MISS, Reason.INPUT_MISSED, "docker/Dockerfile:3 misses"),
    Hit(4, State.UNKNOWN, Reason.CONTENT_UNKNOWN, "it depends on the content of f"),
)


def judged(hits: tuple[Hit, ...], limit: float | None) -> Analysis:
    with known(hits):
        return check([document(PLAIN)], Policy(limits=Limits(min_hits=limit)))


def test_hits_are_shown_step_by_step() -> None:
    with known(HITS):
        text = rendered(analyze([document(PLAIN)]), "text", Style(width=300))
    assert "Of 4 steps, 1 will hit, 2 will miss and 1 depends on content." in text
    first = text.partition("First miss\n")[2].partition("\n\n")[0].splitlines()
    assert [line.strip() for line in first] == [
        f"{FILE}:3 COPY --from=s2 /f /g",
        "the environment variable VERSION changed",
        "1 step after it misses only because this one does.",
    ]
    rows = [line.split() for line in text.partition("\nSteps\n")[2].partition("\n\n")[0].splitlines()[2:]]
    assert [(row[0], row[4]) for row in rows] == [
        (f"{FILE}:2", "/g"),
        (f"{FILE}:3", "/g"),
        (f"{FILE}:4", "/g"),
        (f"{FILE}:5", "/g"),
    ]
    assert [row[5] for row in rows] == ["hit", "miss", "miss", "unknown"]


def test_no_step_hits_while_the_cache_is_refused() -> None:
    with known(HITS):
        text = rendered(analyze([document([record("root"), record("a", [0]), record("b", [7])])]), "text")
    assert text.startswith("BuildKit refuses to import this cache")
    assert "Once it can be imported: Of 4 steps, 1 will hit" in " ".join(text.split())


def test_hits_in_json() -> None:
    with known(HITS):
        hits = json.loads(rendered(analyze([document(PLAIN)]), "json"))["hits"]
    assert [(hits[0][state]) for state in ("build", "hit", "miss", "unknown")] == [0, 1, 2, 1]
    assert [step["reason"] for step in hits[0]["steps"]] == [None, "changed", "input-missed", "content-unknown"]
    assert [step["location"]["line"] for step in hits[0]["steps"]] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("hits", "limit", "fails"),
    [
        (HITS, 34, True),
        (HITS, 33, False),
        (HITS[:1], 100, False),
        (HITS[3:], 100, False),
        (HITS[1:2], 1, True),
        (HITS[1:2], 0, False),
        (HITS[1:2], None, False),
    ],
)
def test_steps_that_are_unknown_count_neither_way(hits: tuple[Hit, ...], limit: float | None, fails: bool) -> None:
    assert judged(hits, limit).failed() == (["CD401"] if fails else [])


def test_few_hits_are_shown_at_the_first_line_that_misses() -> None:
    analysis = judged(HITS, 80)
    assert [place.line for place in analysis.findings[0].locations] == [3]
    assert "Only 1 of 3 steps whose outcome is known will hit, 33%; the limit is 80%." in analysis.findings[0].message
    first = rendered(analysis, "github").splitlines()[0]
    assert first.startswith(f"::error file={FILE},line=3,endLine=3,title=CD401 few-hits")
    assert json.loads(rendered(analysis, "json"))["limits"]["min_hits"] == 80


def test_hits_are_those_of_all_sources_together() -> None:
    """Each of several sources may have few of the steps, as long as the build finds them in one or another."""
    documents = [document(PLAIN, source=source) for source in ("a.json", "b.json")]
    policy = Policy(limits=Limits(min_hits=80), fail_on=Severity.ERROR)
    with known(HITS):
        together = check(documents, policy)
        alone = check(documents, policy, together=False)
    assert [(finding.rule, finding.source) for finding in together.failing] == [("CD401", "")]
    assert [(finding.rule, finding.source) for finding in alone.failing] == [("CD401", "a.json"), ("CD401", "b.json")]


# Repair


def test_repair_names_the_steps_that_lost_alternatives() -> None:
    documents = load(DIAMONDS)
    repaired = repair(documents, Options(minimal=True))
    removed = repaired.removed.alternatives
    assert len(removed) == repaired.removed.pruned_links > 0
    with known():
        page = page_of_repair(repaired, known=recognition.recognize((build(),), documents, repaired.survey))
    text = render(page, "text", Style(width=300))
    assert "Removed alternatives" in text
    assert f"{FILE}:" in text.partition("Removed alternatives")[2]
    listed = json.loads(render(page, "json", Style()))["removed"]["alternatives"]
    assert len(listed) == len(removed)
    config = documents[0].config
    for alternative in listed:
        _is_link(alternative["step"]["record"], alternative["source"]["record"], documents)
        assert alternative["step"]["digest"] == config.digests[alternative["step"]["record"]]
        number = alternative["step"]["record"]
        assert [place["line"] for place in alternative["step"]["locations"]] == ([number + 1] if number else [])
        assert not alternative["closed_loop"]


def _is_link(record: int, source: int, documents: list[CacheDocument]) -> None:
    graph = Survey([document.config for document in documents]).graph
    assert any(source == link for alternatives in graph.inputs(record) for link, _ in alternatives)


def test_repair_knows_what_was_removed_after_records_were_dropped() -> None:
    documents = load(str(FIXTURES / "manifests/shared-copies-t1.json"))
    repaired = repair(documents, Options(max_bytes=20_000, max_calls=20_000, drop_oldest=True, headroom=0))
    records = repaired.survey.merged.records
    assert repaired.removed.alternatives
    graph = repaired.survey.merged.graph
    for alternative in repaired.removed.alternatives:
        links = {link for alternatives in graph.inputs(alternative.item) for link, _ in alternatives}
        assert alternative.source in links
    assert max(alternative.item for alternative in repaired.removed.alternatives) < len(records)


def test_repair_names_links_that_closed_loops() -> None:
    documents = [load(str(FIXTURES / f"manifests/tag-{tag}.json"))[0] for tag in "ab"]
    repaired = repair(documents, Options())
    assert [alternative.closed_loop for alternative in repaired.removed.alternatives] == [
        True
    ] * repaired.removed.looping_links


def test_nothing_is_known_without_builds() -> None:
    assert recognition.recognize((), [document(LOOP)], Survey([document(LOOP).config])).names == ()
