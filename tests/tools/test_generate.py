"""Generated text is up to date, and outdated text is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate import generated, run


@pytest.mark.slow
def test_generated_text_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(generated()) > 5
    assert run(generated(), check=True) == 0, capsys.readouterr().out


def test_outdated_text_is_noticed_and_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text('<!-- [[[cog cog.out(keys("baseline")) ]]] -->\nold\n<!-- [[[end]]] -->\n')
    assert run([page], check=True) != 0
    assert "-old" in capsys.readouterr().out
    assert "old" in page.read_text()
    assert run([page], check=False) == 0
    assert "| `findings[].rule` | string |" in page.read_text()
    assert run([page], check=True) == 0
