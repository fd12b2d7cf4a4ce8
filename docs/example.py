"""Watch over the caches of a project: `python example.py CACHE...` repairs what the next export would choke on.

Prints a line for each cache file, and writes a repaired copy beside each with an error, over the one of the last time.
Exits with 1 if one could not be repaired.
"""

import sys
from pathlib import Path

import cachedoctor


def main(names: list[str]) -> int:
    """Look at each cache by itself."""
    failed = 0
    for name in names:
        try:
            documents = cachedoctor.load(name)
            analysis = cachedoctor.analyze(documents, buildkit="v0.21.1")
            calls = analysis.survey.loop_check.middle.calls
            rules = sorted({finding.rule for finding in analysis.findings})
            print(f"{name}: {analysis.verdict}, {calls:,} loop-check calls, {', '.join(rules) or 'no findings'}")
            if analysis.verdict == "error":
                repaired = cachedoctor.repair(documents, max_bytes="auto", max_calls="auto")
                target = cachedoctor.write(repaired, Path(name).with_suffix(".repaired.json"), force=True)
                print(f"  {target}: {repaired.after.calls:,} calls, nothing lost")
        except (cachedoctor.InputError, cachedoctor.LimitError) as error:
            print(f"  {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
