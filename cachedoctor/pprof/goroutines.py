"""Goroutine dumps: what each goroutine is doing, and since when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cachedoctor.errors import InputError
from cachedoctor.pprof.profile import Profile, ValueType
from cachedoctor.pprof.samples import ListSamples

MOST_GOROUTINES = 2_000_000
"""Goroutines, or groups of them, in one dump."""
MOST_MARKS = 100
"""Lines about a crash that are kept."""
LONGEST_LINE = 1 << 16
"""Letters of a line that are read."""
LONGEST_MARK = 1000
"""Letters of such a line."""
MOST_JOINED = 24
"""Lines that one line was broken into."""
MOST_FAILURES = 1000
"""Lines that seem to be broken, and are not."""
TOTAL = "goroutine profile: total "

# Possessive, so that no text can make them slow.
NAME = (
    r"(?:type:)?"
    r"(?:[^\s()\[\]\"'<>=,:;{}|`#…]++|\[[^\]\s]*+\]|\(\*?[^\s()]*+\)(?=\.))++"
)
"""The name of a Go function."""
_HEADER = re.compile(r"goroutine (\d{1,18})\b[^\[]{0,80}\[([^\]]*)\](?:.*?: (\d{1,9}) times)?")
_LATE_HEADER = re.compile(r"(?<=\s)goroutine (\d{1,18})\b[^\[]{0,80}\[([^\]]{0,80})\](?:: (\d{1,9}) times)?:$")
_CALL = re.compile(rf"({NAME})\(")
_USUAL_CALL = re.compile(r"([A-Za-z][\w./-]*(?:\(\*\w+\)\.[\w.]+)?(?<!\.))\(.*\)$")
_USUAL_POSITION = re.compile(r"\t/\S+:\d+(?: \+0x[0-9a-f]+)?$")
_BARE = re.compile(rf"({NAME})$")
_BROKEN_NAME = re.compile(r"[A-Za-z_][\w.\-/~%@*(\[]*$")
_CREATED = re.compile(r"created by ([^…\n]+?)(?:…|\.{3})?(?:\s*in\s*goroutine ?(\d{1,18})|\s+in)?$")
_POSITION = re.compile(
    r"(?:[A-Za-z]:)?(?=[^\s:()]*[/\\.<?])[^\s:()]++:\d+(?:\s+(?:\+0x[0-9a-f]*|\+|(?:fp|sp|pc)=(?:0x[0-9a-f]*)?))*\s*…?$"
)
_TAIL = re.compile(r"(?:\d*\s*\+?(?:0x)?|[a-z]{0,2}=0x)[0-9a-f]*(?:\s+(?:fp|sp|pc)=(?:0x[0-9a-f]*)?)*$")
_REGISTER = re.compile(r"(?:[re]?[a-z]{1,6}\d{0,2}|r\d{1,2})\s+0x[0-9a-f]+$")
_WAIT = re.compile(r"(\d{1,9}) minutes?")
_ELIDED = re.compile(r"\.\.\.\s*(?:additional|\d+) frames? elided")
_ERROR_STACK = re.compile(r"(\d{1,9}) (v\d\S*|unknown|\(devel\)) (\S+)(?: .*)?$")
_CRASH = re.compile(
    r"fatal error: |\bpanic: |goroutine stack exceeds|unexpected fault address|concurrent map |\[signal |signal: killed"
    r"|^SIG[A-Z]{2,6}: |OOMKilled|\b[Oo]om[-_ ]?(?:kill|reaper)|[Oo]ut of memory"
    r"|[Kk]illed process \d+|status=9/KILL|exit(?:ed)?(?: with)?(?: code| status)?:? 137\b"
)
_HIDDEN = "stack unavailable"
_CUT = ("…", "...")

_GROUP = re.compile(r"(\d{1,9}) @(?:\s+[0-9a-fx]+)*$")
FRAME = re.compile(
    r"(?:#\s*0x[0-9a-f]+|0x[0-9a-f]+(?=\s+\S+\.))\s+(\S.*?)(?:\+0x[0-9a-f]+(?:\s*/\S+:\d+)?|\s+\S+:\d+)?$"
)

MARKS = re.compile(
    r"goroutine \d+ [^\[\n]{0,60}\[|goroutine profile: total \d|created by [\w.]+[./]|Goroutine \d+ - "
    r"|(?P<weak>\t[^\s:]*/[^\s:]+:\d+|(?<![\w./\\-])/[^\s:()\"]+\.(?:go|s|c):\d+)"
    r"|(?<![\w.]) ?\d+ @ 0x|#\s{0,8}0x[0-9a-f]{3,}\s"
    r"|(?<![\w./\\@(*-])\d+ v\d+\.\d+\S* (?:\S*/)?(?:buildkitd|dockerd|buildctl|buildx|docker|containerd)\b"
    r"|(?<![\w./\\:(*\[\]$~%@-])[A-Za-z_][\w.~%@-]*(?:/[\w.~%@-]+)*\.(?:\(\*?\w[^\s()]*\)\.)?[\w.\[\]-]+"
    r"\((?=0x|\.\.\.|\)|\{|\w+ ?=)"
    r"|(?<![\w./\\:(*\[\]$~%@-])[\w-]+(?:\.[\w-]+)+/[\w./~%@-]+\.(?:\(\*?\w[^\s()]*\)\.)?[\w.\[\]-]+$"
)
"""How lines of a dump begin: what a prefix is learned from."""


@dataclass(frozen=True, slots=True)
class Goroutine:
    """One goroutine, or several with the same stack."""

    stack: tuple[str, ...]
    """Functions from the leaf to the root. Go cuts off deep stacks."""
    count: int = 1
    state: str = ""
    """`running`, `IO wait`, `select`, …; empty if the dump does not say."""
    hidden: bool = False
    """Whether it was running on another thread, so that a dump made on SIGQUIT does not show its stack."""
    minutes: int | None = None
    """How long it has been in this state; `None` below one minute, and if the dump does not say."""
    id: int | None = None
    creator: int | None = None
    """The id of the goroutine that started it."""
    created_by: str = ""
    """The function that started it; empty if the dump does not say."""
    elided: bool = False
    """Whether Go left out frames in the middle, as it does for very deep stacks."""
    locked: bool = False
    """Whether it is locked to its thread."""


@dataclass(slots=True)
class Dump:
    """What was read from a text, and what was not."""

    goroutines: list[Goroutine] = field(default_factory=list)
    """In the order of the text; in a crash trace the first is the one that crashed."""
    marks: list[str] = field(default_factory=list)
    """Lines about a crash or a signal, as `fatal error: stack overflow`."""
    errors: list[tuple[str, ...]] = field(default_factory=list)
    """Stacks, leaf first, that BuildKit adds to an error."""
    lines: int = 0
    """Lines that are not blank and belong to goroutines."""
    unread: int = 0
    """Those of them that could not be read."""
    example: str = ""
    """The first of these."""
    shortened: int = 0
    """Functions whose names were cut off."""
    cut: bool = False
    """Whether the last goroutine is incomplete."""

    def missed(self, line: str) -> None:
        """Count a line that could not be read."""
        self.unread += 1
        self.example = self.example or line[:LONGEST_MARK]


def is_grouped(lines: Sequence[str]) -> bool:
    """Whether a text is a dump of `debug=1`."""
    return any(line.lstrip().startswith(TOTAL) or (" @ 0x" in line and _GROUP.match(line.strip())) for line in lines)


def is_listed(lines: Sequence[str]) -> bool:
    """Whether a text has a dump of `debug=2` in it, or what a Go program prints on SIGQUIT."""
    return any("goroutine " in line and _HEADER.match(line.lstrip()) for line in lines)


def grouped(lines: Sequence[str]) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=1`.

    Raises `InputError`. Source: runtime/pprof of Go 1.24, `printCountProfile`.
    """
    goroutines: list[Goroutine] = []
    count, stack = 0, list[str]()
    for line in [*whole_frames(lines), ""]:
        group = _GROUP.match(line)
        frame = FRAME.match(line)
        if frame and count:
            stack.append(frame.group(1).rstrip())
        elif (group or not line) and count and (stack or group or not line):
            goroutines.append(Goroutine(tuple(stack), count))
            check_count(goroutines)
            count, stack = 0, []
        if group:
            count = int(group.group(1))
    _check_stacks(goroutines)
    return goroutines


def whole_frames(lines: Sequence[str]) -> Iterator[str]:
    """The lines of a dump of `debug=1`, those joined that were broken at some column."""
    pending = ""
    for line in map(str.rstrip, lines):
        text = line.lstrip()
        if pending and text and text[0] not in "#`" and not _GROUP.match(text):
            pending += line
        else:
            if pending:
                yield pending
            pending = text
        if not pending.startswith("#") or re.search(r":\d+$", pending) or len(pending) > LONGEST_MARK:
            yield pending
            pending = ""
    yield pending


def missing(lines: Sequence[str], goroutines: Sequence[Goroutine]) -> int:
    """How many goroutines are missing from a dump of `debug=1`, going by the total on its first line."""
    line = next((line.lstrip() for line in lines if line.lstrip().startswith(TOTAL)), "")
    total = line.removeprefix(TOTAL).strip()
    expected = int(total) if total.isascii() and total.isdecimal() and len(total) < 10 else 0
    return max(0, expected - sum(goroutine.count for goroutine in goroutines))


def listed(lines: Sequence[str]) -> list[Goroutine]:
    """The goroutines of `/debug/pprof/goroutine?debug=2`, indented or not. Raises `InputError`."""
    return dump(lines).goroutines


def dump(lines: Sequence[str]) -> Dump:
    """What a text has of goroutines: with or without their headers, arguments, positions or indentation.

    Raises `InputError`. Source: runtime of Go 1.24, `goroutineheader` and `traceback`; BuildKit v0.32, util/stack.
    """
    result = _Reader(lines).read()
    if result.goroutines and not result.marks and not result.errors:
        _check_stacks(result.goroutines)
    return result


class _Reader:
    """Reads goroutines, a line at a time."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.at = 0
        self.result = Dump()
        self.failures = 0
        self.header: re.Match[str] | None = None
        self.stack: list[str] = []
        self.creator: re.Match[str] | None = None
        self.hidden = self.elided = False
        self.section = ""
        """What the frames belong to: a `goroutine`, an `error`, the runtime's own `thread`, or nothing yet."""
        self.last = ""
        """The kind of the last line that was read: `frame`, `position`, …"""
        self.final = ""
        """The last position."""
        self.gap = False
        """Whether a blank line came after it."""
        self.unknown: list[str] = []
        """Lines that could not be read, and perhaps belong to no goroutine."""
        self.names: dict[str, str] = {}
        self._survey()

    def _survey(self) -> None:
        """See whether frames are followed by their positions, and have their arguments."""
        calls = bare = positions = 0
        for line in self.lines[:20_000]:
            text = line.strip()
            if text.endswith(")") and _CALL.match(text):
                calls += 1
            elif _POSITION.match(text):
                positions += 1
            elif "." in text and _BARE.match(text):
                bare += 1
        self.names_only = bare > calls and positions < bare / 4
        self.has_positions = positions > (calls + bare) / 2

    def read(self) -> Dump:
        lines, number = self.lines, len(self.lines)
        while self.at < number:
            line = lines[self.at]
            self.at += 1
            if self._usual(line):
                continue
            text = line[:LONGEST_LINE].strip()
            if text:
                self._line(text, line[0] in "\t ")
            else:
                self.gap = True
        self.result.cut = self._is_cut()
        self._flush()
        return self.result

    def _is_cut(self) -> bool:
        """Whether the text ends in the middle of a goroutine: each function is followed by its position."""
        if any(re.match(r"goroutine \d+ ?\[?[^\]]*$", text) for text in self.unknown):
            return True
        if self.last == "header":
            return self.section == "goroutine"
        if self.unknown and not self.gap and re.match(r"[\w/]+\.\S*$", self.unknown[-1]):
            return self.has_positions
        return self.has_positions and (self.last == "frame" or self.final.endswith(" +"))

    def _usual(self, line: str) -> bool:
        """Read a line that needs no second look, as most lines do. Anything else is left to `_line`."""
        if self.section != "goroutine" or self.unknown:
            return False
        if line[:1] == "\t":
            if not _USUAL_POSITION.match(line):
                return False
            self.last = "position"
            self.final = line
        else:
            call = _USUAL_CALL.match(line)
            if not call or self.creator or (self.gap and not self.header):
                return False
            name = call[1]
            self.stack.append(self.names.setdefault(name, name))
            self.last = "frame"
        self.gap = False
        self.result.lines += 1
        return True

    def _line(self, text: str, indented: bool) -> None:
        if "goroutine " in text and self._is_header(text):
            return
        if (indented or text[0] in "/<") and ":" in text and _POSITION.match(text):
            self._seen("position")
            self.final = text
        elif text[-1] == ")" and (call := _CALL.match(text)) and self._frame(call[1]):
            pass
        elif text.startswith("created by"):
            self._created(text if text[10:] else f"{text} ")
        elif not self._other(text, indented):
            self._unread(text)

    def _is_header(self, text: str) -> bool:
        found = _HEADER.match(text)
        if not found and text[0] == "g" and "[" in text and "]" not in text:
            found = _HEADER.match(self._joined(text, " ", lambda whole: "]" in whole))
        # Whatever began with the dump may be on the line of its first goroutine.
        found = found or _LATE_HEADER.search(text)
        if found:
            # What is above a header, and was not read, belongs to the text that the dump is in.
            self.unknown.clear()
            self._flush()
            self.header, self.section = found, "goroutine"
            self._seen("header")
        return found is not None

    def _seen(self, kind: str) -> None:
        """Note that a line was read; lines before it that were not are in the middle of the dump."""
        if self.unknown and self.section and kind != "header":
            for text in self.unknown:
                self.result.missed(text)
            self.result.lines += len(self.unknown)
        self.unknown.clear()
        self.result.lines += 1
        self.last, self.gap = kind, False

    def _frame(self, name: str) -> bool:
        if name[-1] == "." or not (name[0].isalpha() or name[0] in "_%" or (name[0] != "/" and "/" in name)):
            return False
        if self.section == "thread":
            self._seen("frame")
            return True
        if self.section == "error" or (self.creator and self.last != "header") or (self.gap and not self.header):
            self._flush()
        if not self.section:
            if "." not in name:
                return False
            self.section = "goroutine"
        self.stack.append(self.names.setdefault(name, name))
        self._seen("frame")
        return True

    def _created(self, text: str) -> None:
        if not self._next_is_known():
            text = self._joined(text, "", lambda _: self._next_is_known()) or text
        self.creator = _CREATED.match(text)
        self._seen("created")

    def _next_is_known(self) -> bool:
        """Whether the next line can only be a line of its own."""
        text = self.lines[self.at].strip() if self.at < len(self.lines) else ""
        if not text or text.startswith(("created by ", "/")):
            return True
        return bool(_HEADER.match(text) or _POSITION.match(text))

    def _other(self, text: str, indented: bool) -> bool:
        """Read a line that is neither a header nor a usual frame."""
        if _HIDDEN in text:
            self.hidden = True
            self._seen("position")
        elif _ELIDED.match(text):
            self.elided = True
            self._seen("position")
        elif text == "runtime stack:":
            self._flush()
            self.section = "thread"
            self._seen("header")
        elif found := _ERROR_STACK.match(text):
            self._flush()
            self.section = "error"
            self._seen("header")
            self.names.setdefault(found[3], found[3])
        elif _REGISTER.match(text):
            self.gap = True
        elif self.last in ("position", "frame", "created") and not self.gap and _TAIL.match(text):
            pass
        elif _CRASH.search(text):
            if len(self.result.marks) < MOST_MARKS:
                self.result.marks.append(text[:LONGEST_MARK])
        else:
            return self._broken(text, indented)
        return True

    def _broken(self, text: str, indented: bool) -> bool:
        """Read a frame without arguments, one whose end was cut off, or a line that was broken into several."""
        if text.endswith(_CUT) and not text.endswith("(...)"):
            return self._cut_off(text)
        if text[0] != "/" and (bare := _BARE.match(text)) and "." in text[1:-1] and not text.endswith((".", ".go")):
            known = self.section or "/" in text or self._next_is_position()
            if known and (self.names_only or self.section == "error" or self._next_is_position()):
                return self._bare(bare[1])
        if text[0] == "/" or (indented and "/" in text and "(" not in text):
            whole = self._joined(text, "", lambda whole: bool(_POSITION.match(whole)))
            if whole or _POSITION.match(text):
                self._seen("position")
                return True
        if not self.names_only and _BROKEN_NAME.match(text.partition("(")[0]):
            whole = self._joined(text, "", _is_call)
            call = _CALL.match(whole or text)
            # The rest of the arguments may have been lost.
            return bool(call and (whole or self.section) and self._frame(call[1]))
        # Not indented, and without a path.
        if _POSITION.match(text) and self.last in ("frame", "created"):
            self._seen("position")
            return True
        return False

    def _bare(self, name: str) -> bool:
        if self.section == "error":
            if self.gap and not self._next_is_position():
                return False
            self.stack.append(self.names.setdefault(name, name))
            self._seen("frame")
            return True
        return self._frame(name)

    def _cut_off(self, text: str) -> bool:
        """Read a line that ends in an ellipsis."""
        text = text.rstrip("….").rstrip()
        call = _CALL.match(text)
        if call and call[1][-1] != ".":
            return self._frame(call[1])
        if text[:1] == "/" or text.startswith("created by"):
            self._seen("position")
            return True
        if self.section and _BROKEN_NAME.match(text.partition("(")[0]) and self._frame(f"{text}…"):
            self.result.shortened += 1
            return True
        return False

    def _next_is_position(self) -> bool:
        text = self.lines[self.at].strip() if self.at < len(self.lines) else ""
        return bool(text) and (bool(_POSITION.match(text)) or (text[0] == "/" and " " not in text))

    def _joined(self, text: str, between: str, is_whole: Callable[[str], bool]) -> str:
        """The line together with those below it that are its rest; empty if there is no such rest."""
        if self.failures > MOST_FAILURES:
            return ""
        start = self.at
        for line in self.lines[start : start + MOST_JOINED]:
            rest = line.strip()
            if not rest or _HEADER.match(rest) or rest.startswith("created by ") or len(text) > 8 * LONGEST_MARK:
                break
            if text[0] != "/" and line[0] in "\t " and _POSITION.match(rest):
                break
            text += (between if text[-1] == "," else "") + line.rstrip()
            self.at += 1
            if is_whole(text):
                return text
        self.at = start
        self.failures += 1
        return ""

    def _unread(self, text: str) -> None:
        if self.section and not self.gap and self.last == "frame":
            self._seen("unread")
            self.result.missed(text)
            self.last = "frame"
        elif self.section and len(self.unknown) < 10_000:
            self.unknown.append(text)

    def _flush(self) -> None:
        """Keep the goroutine that ends here."""
        stack = tuple(self.stack)
        if self.section == "error" and stack:
            self.result.errors.append(stack)
        elif self.section == "goroutine" and (self.header or stack):
            self.result.goroutines.append(self._goroutine(stack))
            check_count(self.result.goroutines)
        self.header, self.creator, self.stack, self.section = None, None, [], ""
        self.hidden = self.elided = False

    def _goroutine(self, stack: tuple[str, ...]) -> Goroutine:
        id = creator = minutes = None
        count, state, locked, created_by = 1, "", False, ""
        if self.header:
            state, *rest = self.header[2].split(", ")
            waits = (_WAIT.fullmatch(part) for part in rest)
            minutes = next((int(wait[1]) for wait in waits if wait), None)
            locked = "locked to thread" in rest
            id = int(self.header[1])
            count = max(1, int(self.header[3] or 1))
        if self.creator:
            creator = int(self.creator[2]) if self.creator[2] else None
            created_by = self.names.setdefault(self.creator[1], self.creator[1])
        return Goroutine(
            stack, count, state.partition(" (")[0], self.hidden, minutes, id, creator, created_by, self.elided, locked
        )


def _is_call(text: str) -> bool:
    call = _CALL.match(text)
    return text[-1] == ")" and call is not None and call[1][-1] != "." and text.count("(") <= text.count(")")


def check_count(goroutines: Sequence[Goroutine]) -> None:
    """Raise `InputError` for more goroutines than any daemon has."""
    if len(goroutines) > MOST_GOROUTINES:
        raise InputError(f"more than {MOST_GOROUTINES:,} goroutines, which is refused")


def _check_stacks(goroutines: Sequence[Goroutine]) -> None:
    if not any(goroutine.stack for goroutine in goroutines):
        raise InputError("a goroutine dump without any stack: it is cut short, or was changed")


def from_profile(profile: Profile) -> list[Goroutine]:
    """The goroutines of a goroutine profile in protobuf form."""
    names = profile.names
    return [Goroutine(tuple(names[node] for node in nodes), value) for nodes, value in profile.samples if value > 0]


def profile_of(goroutines: Sequence[Goroutine], kind: str = "goroutine") -> Profile:
    """A profile that counts these goroutines."""
    nodes: dict[str, int] = {}
    stacks = [[nodes.setdefault(name, len(nodes)) for name in goroutine.stack] for goroutine in goroutines]
    return Profile(
        kind=kind,
        sample_type=ValueType(kind, "count"),
        names=list(nodes),
        samples=ListSamples(
            stacks, [goroutine.count for goroutine in goroutines], lines=[[node] for node in range(len(nodes))]
        ),
        texts=[[name] for name in nodes],
    )
