"""Text without what programs and people put around each of its lines.

A log or a dump reaches the reader through programs that write something before each line: a time, a host, a container,
a quotation mark. No list of them is ever complete. So the caller says how the lines of the text itself may begin (its
*marks*), and what stands before the marks shows the shape of the rest: words, with the same punctuation between them.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, TypeVar

T = TypeVar("T")

MOST_LAYERS = 5
"""How many wrappings are taken off, one after the other."""
SAMPLE = 6000
"""Lines that a wrapping is learned from: a third each at the beginning, in the middle and at the end."""
LONGEST_PREFIX = 400
"""Letters before the mark."""
MOST_SHAPES = 16
"""Different prefixes in one text."""
MOST_STREAMS = 64
"""Containers or pods in one text."""
LARGEST_JSON = 16 << 20
"""Letters of a document in JSON that is not one of a line."""
_SEARCHED = 4000
"""Letters of a line in which its mark is looked for."""

_COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WORDS = re.compile(r"(\w+)")
_SUFFIX = re.compile(r"[\s|\"',;\\]+$")
_TIME = re.compile(r"\d[:.,/-]\d")
_LETTERS = re.compile(r"[^\W\d_]{3}")
_PAIR = re.compile(r'([\w.@-]{1,40})="((?:[^"\\]|\\.)*+)"')
_BACKSLASH = re.compile(r'\\(?:([nrt"/\\])|u([0-9a-fA-F]{4}))')
_LETTER_OF = {"n": "\n", "r": "", "t": "\t"}
_OCTAL = re.compile(r"#(0[01][0-7])")
_LAST_BREAK = re.compile(r"<br */?>\s*$")
_TAG = re.compile(r"<br */?>|</?(?:p|pre|code|div|span|li|ol|ul|tr|td|tbody|table)\b[^<>]{0,200}>")


def unwrapped(text: str, marks: re.Pattern[str]) -> list[str]:
    """The lines of a text as the program that wrote it printed them, blank lines and indentation included.

    `marks` matches the beginning of a line of the text itself, and should match nothing else. A mark in its group
    `weak` may also be where a long line was broken, so that what is before it teaches nothing. Lines of several
    containers that took turns are put together. Linear in the size of the text.
    """
    lines = (_COLORS.sub("", text) if "\x1b" in text else text).splitlines()
    for _ in range(MOST_LAYERS):
        sample = _sample(lines)
        peeled = next((less for peel in _LAYERS if (less := peel(lines, sample, marks)) is not None), None)
        if peeled is None:
            break
        lines = peeled
    return _without_doubled_blanks(lines)


def _sample(lines: Sequence[str]) -> Sequence[str]:
    if len(lines) <= SAMPLE:
        return lines
    part, middle = SAMPLE // 3, len(lines) // 2
    return [*lines[:part], *lines[middle : middle + part], *lines[-part:]]


def _found(lines: Sequence[str], marks: re.Pattern[str]) -> int:
    """How many lines have a mark."""
    return sum(1 for line in lines if marks.search(line, 0, _SEARCHED))


# A value of each line: JSON, or name="value" pairs.


def _values(lines: Sequence[str], sample: Sequence[str], marks: re.Pattern[str]) -> list[str] | None:
    """The text in JSON documents, one a line or one for all, or in `msg="…"`."""
    for fields in (_of_json, _of_pairs):
        counts: Counter[str] = Counter()
        for line in sample:
            for name, value in fields(line):
                counts[name] += _found(value.splitlines(), marks)
        name, most = counts.most_common(1)[0] if counts else ("", 0)
        if most and most >= _found(sample, marks) / 2:
            pairs = [part for line in lines for part in _parts(line, fields(line), name)]
            return _apart(pairs, _names([words for words, _ in _spread(pairs) if words]))
    return _of_document(lines, sample, marks)


def _parts(line: str, fields: Sequence[tuple[str, str]], name: str) -> Iterator[tuple[Sequence[str], str]]:
    texts = [value for key, value in fields if key == name]
    if not texts:
        yield (), line
        return
    others = [value if len(value) < LONGEST_PREFIX else "" for key, value in fields if key != name]
    for text in texts:
        yield from ((others, part) for part in text.splitlines() or [""])


def _of_json(line: str) -> list[tuple[str, str]]:
    start, end = line.find("{"), line.rfind("}")
    if not 0 <= start < min(end, LONGEST_PREFIX) or '"' not in line:
        return []
    try:
        return list(_strings(json.loads(line[start : end + 1])))
    except (ValueError, RecursionError):
        return []


def _of_pairs(line: str) -> list[tuple[str, str]]:
    return [(match[1], _plain(match[2])) for match in _PAIR.finditer(line)] if '="' in line else []


def _of_document(lines: Sequence[str], sample: Sequence[str], marks: re.Pattern[str]) -> list[str] | None:
    """The text in one JSON document, whose strings are the lines."""
    if next((line.lstrip()[:1] for line in lines if line.strip()), "") not in ("{", "["):
        return None
    text = "\n".join(lines)
    try:
        strings = list(_strings(json.loads(text))) if len(text) <= LARGEST_JSON else []
    except (ValueError, RecursionError):
        return None
    counts: Counter[str] = Counter()
    for name, value in strings:
        counts[name] += _found(value.splitlines(), marks)
    name, most = counts.most_common(1)[0] if counts else ("", 0)
    return [line for key, value in strings if key == name for line in value.splitlines() or [""]] if most else None


def _strings(value: Any) -> Iterator[tuple[str, str]]:
    """All strings in a document, in order, each with the keys that lead to it.

    A list is one key for all its elements, but a list in a list is a row whose elements are columns.
    """
    stack: list[tuple[str, Any]] = [("", value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, str):
            yield path, item
        elif isinstance(item, Mapping):
            stack += [(f"{path}.{key}"[:LONGEST_PREFIX], member) for key, member in reversed(list(item.items()))]
        elif isinstance(item, list):
            row = path.endswith("[]")
            stack += [(f"{path}{at}" if row else f"{path}[]", item[at]) for at in reversed(range(len(item)))]


# Escapes.


def _plain(text: str) -> str:
    return _BACKSLASH.sub(_letter, text)


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[2], 16)) if found[2] else _LETTER_OF.get(found[1], found[1])


def _without_octal(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def _without_entities(text: str) -> str:
    text = _TAG.sub(lambda found: "\n" if found[0].startswith("<br") else "", _LAST_BREAK.sub("", text))
    return html.unescape(text).replace("\xa0", " ")


_ESCAPES: Sequence[tuple[re.Pattern[str], Callable[[str], str]]] = (
    (_BACKSLASH, _plain),
    (_OCTAL, _without_octal),
    (re.compile(rf"&#?\w+;|{_TAG.pattern}"), _without_entities),
)


def _unescaped(lines: Sequence[str], sample: Sequence[str], marks: re.Pattern[str]) -> list[str] | None:
    """The text without escapes, if more marks can be seen then, or no fewer where escapes are everywhere."""
    for escape, plain in _ESCAPES:
        escaped = sum(1 for line in sample if escape.search(line))
        if escaped:
            seen = _found("\n".join(map(plain, sample)).split("\n"), marks)
            if seen + (3 * escaped > len(sample)) > _found(sample, marks):
                return [part for line in lines for part in plain(line).split("\n")]
    return None


# A prefix of each line.


def _without_prefix(lines: Sequence[str], sample: Sequence[str], marks: re.Pattern[str]) -> list[str] | None:
    """The lines without their prefix, and without what follows each of them, as the border of a table."""
    marked = [(line, found) for line in sample if (found := marks.search(line, 0, _SEARCHED))]
    prefixes = [
        line[: found.start()] for line, found in marked if found.start() <= LONGEST_PREFIX and found.lastgroup != "weak"
    ]
    pattern = _learned([prefix for prefix in prefixes if prefix.strip()], len(prefixes))
    suffix = _usual_suffix([line for line, _ in marked])
    if pattern is None and not suffix:
        return None
    if pattern is None:
        return [line.removesuffix(suffix) for line in lines]
    match = pattern.match
    names = _names([found[0].split() for line in _spread(lines) if (found := match(line))])
    rest = [(line[found.end() :] if (found := match(line)) else line).removesuffix(suffix) for line in lines]
    if not names:
        return rest
    return _apart(
        [(found[0].split() if (found := match(line)) else (), less) for line, less in zip(lines, rest, strict=True)],
        names,
    )


def _learned(prefixes: Sequence[str], marked: int) -> re.Pattern[str] | None:
    """What matches prefixes of the same shapes, where only the words differ. `marked` is the number of marked lines."""
    shapes: dict[str, list[str]] = {}
    for prefix in prefixes:
        shapes.setdefault(_WORDS.sub("w", re.sub(r"\s+", " ", prefix.rstrip())), []).append(prefix)
    usual = sorted(shapes.values(), key=len, reverse=True)[:MOST_SHAPES]
    # A sentence may have a mark in it, too; a prefix is before many lines.
    usual = [group for group in usual if len(group) >= min(marked, 2 + marked // 100)]
    if not usual:
        return None
    usual.sort(key=lambda group: -len(group[0]))
    return re.compile("|".join(map(_pattern, usual)))


def _pattern(prefixes: Sequence[str]) -> str:
    """A regular expression for prefixes of one shape. Words that never differ and have no digits stay as they are."""
    parts = []
    for at, column in enumerate(zip(*(_WORDS.split(prefix.rstrip()) for prefix in prefixes), strict=True)):
        if at % 2:
            fixed = len(set(column)) == 1 and len(prefixes) > 1 and column[0].isalpha()
            parts.append(re.escape(column[0]) if fixed else r"\w+")
        else:
            parts.append(r"\s+".join(map(re.escape, re.split(r"\s+", column[0]))))
    words = "".join(parts)
    space = Counter(prefix[len(prefix.rstrip()) :] for prefix in prefixes).most_common(1)[0][0]
    # The rest keeps its own indentation where there is any. Editors take away spaces at the end of a line.
    return rf"{words}(?:{re.escape(space)}|\s+|$)"


def _usual_suffix(marked: Sequence[str]) -> str:
    counts = Counter(found[0] for line in marked if (found := _SUFFIX.search(line[-40:])))
    suffix, number = counts.most_common(1)[0] if counts else ("", 0)
    return suffix if suffix.strip() and number > 0.6 * len(marked) else ""


def _apart(pairs: Sequence[tuple[Sequence[str], str]], names: Sequence[int]) -> list[str]:
    """The lines, each with the words before it: those with the same name of a container or pod follow each other."""
    if not names:
        return [line for _, line in pairs]
    streams: dict[Sequence[str], list[str]] = {}
    key: Sequence[str] = ()
    for words, line in pairs:
        if words:
            key = tuple(words[name] for name in names if name < len(words))
        if key not in streams and len(streams) >= MOST_STREAMS:
            key = ()
        streams.setdefault(key, []).append(line)
    return [line for stream in streams.values() for line in chain(stream, [""])]


def _spread(items: Sequence[T]) -> Sequence[T]:
    return items[:: max(1, len(items) // (10 * SAMPLE))]


def _names(rows: Sequence[Sequence[str]]) -> list[int]:
    """The columns of words that name where a line is from: a few words that come again after others, unlike a time."""
    names = []
    for column in range(min(map(len, rows), default=0)):
        words = [row[column] for row in rows]
        distinct = set(words)
        if 2 <= len(distinct) <= MOST_STREAMS and all(map(_is_name, distinct)):
            turns = 1 + sum(before != after for before, after in pairwise(words))
            if turns >= 2 * len(distinct) - 1:
                names.append(column)
    return names


def _is_name(word: str) -> bool:
    if _LETTERS.search(word):
        return True
    return not _TIME.search(word) and (word.startswith("#") or any(map(str.isalpha, word)))


def _without_doubled_blanks(lines: list[str]) -> list[str]:
    """The lines of a text in which a blank line follows each line."""
    sample = [bool(line.strip()) for line in _sample(lines)]
    written = sum(sample)
    together = sum(map(bool.__and__, sample, sample[1:]))
    if written < 6 or together > written // 20 or len(sample) < 1.8 * written:
        return lines
    # The blank line that was added is the first one below a line.
    return [line for before, line in pairwise(["", *lines]) if line.strip() or not before.strip()]


_LAYERS = (_values, _unescaped, _without_prefix)
