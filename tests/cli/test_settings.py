"""A settings file can come from any branch, so reading it takes bounded time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from cachedoctor.cli import settings
from cachedoctor.errors import InputError


def read(folder: Path, text: str) -> settings.Settings:
    path = folder / "s.toml"
    path.write_text(text)
    return settings.read(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/s.toml: ")


def test_limits_the_file_size(tmp_path: Path) -> None:
    assert read(tmp_path, " " * settings.MOST_BYTES).values == {}
    assert "1,048,576 bytes" in refused(tmp_path, " " * (settings.MOST_BYTES + 1))


@pytest.mark.parametrize("part", ["a", '"a b"', "'.'", "a "])
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[ {} ]]", "tag = {{ {} = 1 }}", "[x]\ny = 'z' # 1.2\n {}= 1"])
def test_limits_the_parts_of_a_key(part: str, form: str, tmp_path: Path) -> None:
    """tomllib would take hours for a key of half a million parts."""
    most = form.format(".".join([part] * settings.MOST_DOTS))
    assert "parts" not in refused(tmp_path, most)
    more = form.format(".".join([part] * (settings.MOST_DOTS + 1)))
    assert "more than 200 parts" in refused(tmp_path, more)
    assert "parts" in refused(tmp_path, form.format(".".join([part] * 100_000)))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a" * 1_000_000, '"' * 1_000_000, "'a'." * 10 + " " * 900_000, "a.a " * 200_000])
def test_finding_keys_takes_linear_time(text: str, tmp_path: Path) -> None:
    assert "expected TOML" in refused(tmp_path, text)


def test_dots_in_values_and_comments_are_not_keys(tmp_path: Path) -> None:
    dots = ". " * 40 + "..." + "1.2.3.4 " * 40
    assert read(tmp_path, f"tag = '{dots}' # {dots}").values["tag"] == dots


@pytest.mark.parametrize(("key", "expected"), [("max-calls", "a whole number"), ("max-bytes", "a number, or a size")])
def test_limits_the_digits_of_a_number(key: str, expected: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{key} = {'9' * 4000}").values[key] == 10**4000 - 1
    assert refused(tmp_path, f"{key} = 0x{'f' * 4000}").startswith(f"{key}: expected {expected}")
    assert refused(tmp_path, f"{key} = 0x{'f' * 4000}").endswith("of at most 4,000 digits")
    assert "expected TOML" in refused(tmp_path, f"{key} = 1{'0' * 5000}")


def test_limits_nesting(tmp_path: Path) -> None:
    assert "expected TOML in UTF-8: maximum recursion" in refused(tmp_path, "x = " + "[" * 500_000)
