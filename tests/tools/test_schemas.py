"""Tables of JSON keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cachedoctor.diagnosis.causes.registry import all_causes
from cachedoctor.diagnosis.phases import Phase
from tools import schemas

SCHEMA = json.loads("""{
  "$defs": {"count": {"type": "object", "properties": {"value": {"type": "string"}}}},
  "type": "object",
  "properties": {
    "command": {"description": "what ran", "enum": ["analyze", "check"]},
    "size": {
      "description": "how large",
      "type": "object",
      "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}}
    },
    "calls": {"description": "how often", "$ref": "#/$defs/count"},
    "rows": {
      "description": "all of them",
      "type": "array",
      "items": {"type": "object", "properties": {"name": {"description": "its name", "type": ["string", "null"]}}}
    },
    "failed": {"description": "what failed", "type": "array", "items": {"type": "string"}}
  },
  "then": {"required": ["failed"]}
}""")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(schemas, "SCHEMAS", tmp_path)
    (tmp_path / "sample.json").write_text(json.dumps(SCHEMA))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_table_has_paths_types_and_values() -> None:
    assert schemas.keys("sample").split("\n")[3:-2] == [
        "| `command` | string | what ran: `analyze` or `check` |",
        "| `size` | `min` and `max`: integer | how large |",
        "| `calls` | count | how often |",
        "| `rows` | array | all of them |",
        "| `rows[].name` | string or null | its name |",
    ]


@pytest.mark.usefixtures("folder")
def test_a_table_of_some_keys() -> None:
    assert "`rows[].name`" not in schemas.keys("sample", levels=1)
    assert schemas.keys("sample", "rows[]").count("\n| `") == 1
    assert schemas.keys("sample", check=True).count("\n| `") == 1
    with pytest.raises(ValueError, match="has no such keys"):
        schemas.keys("sample", "lines[]")


def test_a_key_without_a_description_is_noticed(folder: Path) -> None:
    (folder / "sample.json").write_text(json.dumps({"properties": {"command": {"type": "string"}}}))
    with pytest.raises(ValueError, match=r"sample\.json: command has no description"):
        schemas.keys("sample")


def test_the_schema_of_a_profile_has_every_cause_and_phase() -> None:
    """The schemas are written by hand, and no test input produces all of these values."""
    properties = json.loads((schemas.SCHEMAS / "profile.json").read_text())["properties"]
    assert properties["diagnosis"]["items"]["properties"]["cause"]["enum"] == list(all_causes())
    assert properties["phases"]["items"]["properties"]["phase"]["examples"] == [str(phase) for phase in Phase]
