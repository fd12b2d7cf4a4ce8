"""Text from outside, made safe to show and short enough to read."""

from __future__ import annotations

import re
import unicodedata

_COMMAND = re.compile(r"^\s*:(?=:)|##(?=\[)", re.MULTILINE)

_PINNED = re.compile(r"@[a-z0-9+._-]+:[0-9a-fA-F]{32,}\Z")


def printable(text: str) -> str:
    """Text from outside with everything escaped that could steer a terminal or reorder a line.

    Control, format, surrogate, private and unassigned characters and line separators become `\\u{…}`.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(letter):x}}}" if unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029" else letter
        for letter in text
    )


def argument(text: str) -> str:
    """Text from outside as one word of a command line that can be pasted into a shell.

    A path that begins with a dash would be an option, so it gets a folder.
    """
    from shlex import quote

    return quote(printable(f"./{text}" if text.startswith("-") and text != "-" else text))


def cut(text: str, most: int) -> str:
    """A text of at most so many letters; if it has more, its beginning and its end."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def inert(text: str) -> str:
    """Text in which the runner of GitHub Actions finds no command: no line starts with `::`, and none has `##[`."""
    return _COMMAND.sub(r"\g<0> ", text)


def unpinned(source: str) -> str:
    """A source without the digest that pins it: the same place from run to run."""
    return _PINNED.sub("", source)


def short(digest: str) -> str:
    """A digest as tools show it: its first twelve digits."""
    encoded = digest.removeprefix("sha256:")
    return printable(encoded[:12])
