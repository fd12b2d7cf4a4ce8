"""Generated text: `python -m tools.generate` writes it, and `--check` fails if any of it is out of date.

Whatever the code already says is generated into the pages that repeat it, between two comments:

    <!-- [[[cog cog.out(limits("caches")) ]]] -->
    <!-- [[[end]]] -->

cog runs the call and puts its result there. The functions that can be called are listed in `BLOCKS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cogapp import Cog

ROOT = Path(__file__).parent.parent
FILES = ("*.md", "*.yml", "docs/*.md")
"""Files that may have generated blocks."""
BLOCKS = """\
from tools.action import environment, inputs
from tools.causes import causes
from tools.commands import formats, reference, settings, sources
from tools.contracts import contracts, packages
from tools.limits import limits
from tools.releases import releases
from tools.rules import rules
from tools.schemas import keys
from tools.screens import screen
"""


def generated() -> list[Path]:
    """The files that have a generated block."""
    paths = sorted(path for pattern in FILES for path in ROOT.glob(pattern))
    return [path for path in paths if "[[[cog cog.out" in path.read_text(encoding="utf-8")]


def run(paths: list[Path], *, check: bool) -> int:
    """Write the blocks of these files, or only check them and print what differs. Returns an exit code."""
    mode = ("--check", "--diff") if check else ("-r",)
    code: int = Cog().main(["cog", "-n", "utf-8", "--verbosity=1", "-p", BLOCKS, *mode, *map(str, paths)])
    return code


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(run(generated(), check="--check" in sys.argv[1:]))
