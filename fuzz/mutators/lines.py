"""Text with changed lines and numbers, as after a terminal, a mail program or a cut."""

from __future__ import annotations

import random
import re

_NUMBER = re.compile(rb"\d+")
NUMBERS = (
    b"0",
    b"1",
    b"-1",
    b"0.00",
    b"1e999",
    b"99999999",
    b"999999999999999",
    b"9223372036854775807",
    b"9223372036854775808",
    b"9" * 400,
)
BEFORE = (
    *(b"> ", b"    ", b"\t", b"buildkitd-1  | ", b"2026-11-24T08:14:45.5Z ", b"| ", b"`", b"\x1b[31m", b"# "),
    *(b"Jun  3 12:00:01 host dockerd[7]: ", b'{"log": "', b'msg="', b"#3 990.7 ", b"12:", b"[pod/a/b] ", b"&gt; "),
)
ENDS = (b"\r\n", b"\r", b"\n\n", b"\x0c", b"\xc2\x85", b"\xe2\x80\xa8")
WORDS = ("goroutine 1 [running]:", "goroutine profile: total 7", "1 @ 0x1", "created by x in goroutine 9", "x(...)")
LINES = tuple(word.encode() for word in (*WORDS, "flat flat% sum% cum cum%", "0 0% 0% 0 0% x (inline)", "Type: cpu"))


def mutate(data: bytes, choose: random.Random) -> bytes | None:
    """The text with one to three changes, `None` if it is empty."""
    if not data:
        return None
    for _ in range(choose.randrange(1, 4)):
        data = _changed(data, choose)
    return data


def _changed(data: bytes, choose: random.Random) -> bytes:
    lines = data.split(b"\n")
    low, high = sorted((choose.randrange(len(lines)), choose.randrange(len(lines))))
    kind = choose.randrange(9)
    if kind == 0:
        del lines[low : low + choose.choice((1, 1, high - low + 1))]
    elif kind == 1:
        lines[low:low] = lines[low : low + 3] * choose.choice((1, 2, 20))
    elif kind == 2:
        lines[low], lines[high] = lines[high], lines[low]
    elif kind == 3:
        lines[low] = _with_number(lines[low], choose)
    elif kind == 4:
        lines.insert(low, choose.choice(LINES))
    elif kind == 5:
        before = choose.choice(BEFORE)
        first, last = choose.choice(((0, len(lines)), (low, high + 1), (low, low + 1)))
        lines[first:last] = [before + line for line in lines[first:last]]
    elif kind == 6:
        at = choose.randrange(len(lines[low]) + 1)
        lines[low] = (
            lines[low][:at]
            + choose.choice((b"\n", b" ", b"(", b")", b"%", b"\xff", b"", b"[", b"\\n", b"\xe2\x80\xa6"))
            + lines[low][at:]
        )
    elif kind == 7:
        return data[: choose.randrange(len(data) + 1)]
    else:
        return choose.choice(ENDS).join(lines)
    return b"\n".join(lines)


def _with_number(line: bytes, choose: random.Random) -> bytes:
    numbers = list(_NUMBER.finditer(line))
    if not numbers:
        return line + b" " + choose.choice(NUMBERS)
    number = choose.choice(numbers)
    return line[: number.start()] + choose.choice(NUMBERS) + line[number.end() :]
