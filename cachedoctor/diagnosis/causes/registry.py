"""All causes, found by listing this folder, and which of them a stack shows."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from cachedoctor.diagnosis import causes as package
from cachedoctor.diagnosis.causes.cause import Cause, Signature, matches
from cachedoctor.diagnosis.phases import Phase, phase_of, phase_of_stack

OTHER = "other"
"""The cause if no known one stands out."""
_DIFFERENT_STACKS = 1 << 14
GRAPH_PHASES = frozenset({Phase.LOOP_CHECK, Phase.MERGING, Phase.MARSHALLING, Phase.RE_ADDING})
"""Phases of work on cache keys, which count before signatures that are nearer to the root."""


@cache
def modules() -> Mapping[str, ModuleType]:
    """The file of each cause, by the cause's name."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    files = [import_module(f"{package.__name__}.{name}") for name in names]
    files = [file for file in files if isinstance(vars(file).get("CAUSE"), Cause)]
    found = {file.CAUSE.name: file for file in files}
    assert len(found) == len(files), "two causes have the same name"
    return found


@cache
def all_causes() -> Mapping[str, Cause]:
    """Every cause by its name: those of the earlier questions first, and `other` last."""
    known: list[Cause] = [file.CAUSE for file in modules().values()]
    known.sort(key=lambda cause: (cause.name == OTHER, cause.question, cause.name))
    return {cause.name: cause for cause in known}


@cache
def cause_of_phase(phase: Phase) -> Cause | None:
    """The cause if most of the time goes to a phase; some phases have no known cause."""
    return next((cause for cause in all_causes().values() if cause.phase is phase), None)


class Claim(NamedTuple):
    """A cause, and the signature that shows it."""

    cause: Cause
    signature: Signature

    @property
    def key(self) -> tuple[str, int]:
        """What tells claims apart: causes are not hashed."""
        return self.cause.name, self.cause.signatures.index(self.signature)


@cache
def _claims() -> tuple[Claim, ...]:
    return tuple(Claim(cause, signature) for cause in all_causes().values() for signature in cause.signatures)


@cache
def _candidates(function: str) -> tuple[Claim, ...]:
    """The claims whose function this is."""
    return tuple(claim for claim in _claims() if matches(claim.signature.function, function))


def claim_of_function(function: str, others: Sequence[str]) -> Claim | None:
    """The claim that the name of a function alone shows, in a profile with these functions."""
    return next((claim for claim in _candidates(function) if _is_plain(claim.signature, others)), None)


def _is_plain(signature: Signature, others: Sequence[str]) -> bool:
    """Whether the name of the function alone shows it: nothing else is needed in the stack, and nothing excludes it."""
    excluded = signature.unless and any(matches(signature.unless, name) for name in others)
    return not (signature.leaf or signature.root or excluded)


class Doing(NamedTuple):
    """What a stack is busy with."""

    cause: Cause | None
    phase: Phase
    claim: Claim | None = None

    @property
    def name(self) -> str:
        """The name of the cause, `other` if there is none."""
        return self.cause.name if self.cause else OTHER


def doing(stack: Sequence[str], *, waiting: bool) -> Doing:
    """What a stack is busy with; it begins with the leaf. That it helps to collect garbage is chance."""
    return _doing(tuple(stack), waiting)


@lru_cache(maxsize=_DIFFERENT_STACKS)
def _doing(stack: tuple[str, ...], waiting: bool) -> Doing:
    phase = phase_of_stack(name for name in stack if phase_of(name) is not Phase.GC)
    leaf = False
    for at, function in enumerate(stack):
        nearest = phase_of(function)
        if nearest in GRAPH_PHASES and not leaf:
            return Doing(cause_of_phase(nearest), nearest)
        # What waits for a lock on behalf of the exporter is not at work on cache keys.
        leaf = leaf or nearest not in (None, Phase.GC)
        for claim in _candidates(function):
            if claim.signature.shows(stack, at) and not (waiting and claim.signature.running):
                return Doing(claim.cause, phase, claim)
    return Doing(cause_of_phase(phase), phase)
