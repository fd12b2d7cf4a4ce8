"""Reading and judging the sources of a check, so that one that is missing or broken does not hide the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from cachedoctor.analysis.analyze import Analysis, Unread
from cachedoctor.analysis.check import Checker, Policy
from cachedoctor.cli import inputs
from cachedoctor.cli.output import fail, report_elsewhere, warn
from cachedoctor.errors import InputError, NoCacheError
from cachedoctor.sources import Access


class Run:
    """The sources of one check, and what is wrong with those that cannot be judged."""

    def __init__(
        self, sources: Sequence[str], access: Access, progress: Callable[[str], None], *, missing_ok: bool
    ) -> None:
        self.sources = sources
        """Those that the user named, and once tags have been listed, a reference for each tag."""
        self._named = frozenset(sources)
        self._access = access
        self._progress = progress
        self._missing_ok = missing_ok
        self._absent: list[Unread] = []
        self._unread: list[Unread] = []
        self._warnings: list[str] = []
        self._without_cache = 0

    @property
    def is_complete(self) -> bool:
        """Whether all sources could be read, but for those that may be missing."""
        return not self._unread

    def list_tags(self) -> None:
        """Put all tags of the repositories and layouts that name none in their place. Raises `InputError`."""
        self.sources, errors = inputs.every_tag(self.sources, self._access, self._progress)
        for error in errors:
            self._refuse(error.source, error)

    def judge(
        self,
        policy: Policy,
        tag_of: Callable[[str], str | None],
        platform: str | None,
        *,
        together: bool,
    ) -> Analysis:
        """The result for all sources that can be read; see `Checker` and `inputs.read_each`.

        Ends with exit code 2 if there are none.
        """
        checker = Checker(policy, together=together, progress=self._progress)
        progress = self._progress if len(self.sources) == 1 else lambda step: None
        problems: dict[int, InputError] = {}
        warnings: dict[int, Sequence[str]] = {}
        for read in inputs.read_each(self.sources, tag_of, platform, self._access, self._progress):
            warnings[read.position] = read.warnings
            try:
                if read.error:
                    raise read.error
                checker.add(read.position, read.documents, progress)
            except InputError as error:
                # Its frames, and those of its cause, hold what was read of the source.
                error.__traceback__ = error.__cause__ = error.__context__ = None
                problems[read.position] = error
            # The next one need not fit beside it.
            del read
        for position, problem in sorted(problems.items()):
            self._refuse(self.sources[position], problem)
        self._warnings += [warning for _, of_source in sorted(warnings.items()) for warning in of_source]
        if len(problems) == len(self.sources):
            self._end_if_in_vain()
        absent = [missed.source for missed in self._absent]
        result = checker.finish(missing=absent, unread=self._unread, without_cache=self._without_cache)
        assert result.check
        self._unread = list(result.check.unread)
        return result

    def _refuse(self, source: str, error: InputError) -> None:
        if isinstance(error, NoCacheError) and source not in self._named:
            self._without_cache += 1
            return
        unread = Unread(source, str(error).removeprefix(f"{source}: "), error.missing)
        (self._absent if error.missing and self._missing_ok else self._unread).append(unread)

    def _end_if_in_vain(self) -> None:
        """End if there is nothing to report on: no source, and none that may be missing."""
        for message in self._failures:
            warn(message)
            report_elsewhere(message)
        if self._unread:
            sys.exit(2)
        if self._without_cache and not self._absent:
            fail(f"none of the tags has a cache: {', '.join(sorted(self._named))}")

    @property
    def _failures(self) -> list[str]:
        return [f"{unread.source}: {unread.problem}" for unread in self._unread]

    def complain(self) -> None:
        """Say on standard error what was odd, missing or could not be read."""
        for message in (
            *self._warnings,
            *(f"{absent.source}: no cache yet: {absent.problem}" for absent in self._absent),
            *self._failures,
        ):
            warn(message)
