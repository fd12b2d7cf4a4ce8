"""How long an export goes on, estimated from the caches it imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.buildkit import SECONDS_PER_CALL, SECONDS_PER_MARSHAL_STEP, SECONDS_PER_WALK_STEP
from cachedoctor.diagnosis.causes import Cause
from cachedoctor.numbers import YEAR

if TYPE_CHECKING:
    from cachedoctor.graph.survey import Survey

OLD_MAPS = 1.4
"""How much longer a call of the loop check takes with the maps from before Go 1.24."""


class Remaining(NamedTuple):
    """How long the export goes on, for the given caches."""

    work: str
    """What is counted: `loop-check calls`, `marshalling steps`, `descendants walked`."""
    fewest: int
    most: int
    """How many, at least and at most: it can depend on the order in which the exporter merges."""
    rate: tuple[float, float]
    """How many each second, at least and at most."""
    total: tuple[float | None, float | None]
    """Seconds for all of them, at least and at most; `None` past 1e308."""
    elapsed: float | None
    """Seconds since the export began, `None` if unknown."""
    left: tuple[float | None, float | None]
    """Seconds from now, at least and at most; the same as `total` if `elapsed` is unknown."""

    @property
    def never(self) -> bool:
        """Whether nobody will wait for the end."""
        return self.left[0] is None or self.left[0] > YEAR

    @property
    def overdue(self) -> bool:
        """Whether it should have ended: then the export holds more than the given caches."""
        return self.elapsed is not None and self.total[1] is not None and self.elapsed > self.total[1]


def remaining(
    cause: Cause, caches: Survey, *, old_maps: bool | None, elapsed: float | None, cores: float | None
) -> Remaining | None:
    """How long the work of a cause takes for these caches; `None` if it does not depend on them.

    `cores` is the part of a core that the export gets, one if `None`.
    """
    from cachedoctor.graph import cost

    if cause is Cause.LOOP_CHECK:
        fast, _, slow = SECONDS_PER_CALL
        orders = caches.loop_check.orders
        work, fewest, most = "loop-check calls", orders[0].calls, orders[-1].calls
        seconds = (OLD_MAPS * fast if old_maps else fast, slow)
    elif cause is Cause.DEEP_CHAINS:
        work, fewest, most = "marshalling steps", caches.marshal_steps, caches.marshal_steps
        seconds = (SECONDS_PER_MARSHAL_STEP, 2 * SECONDS_PER_MARSHAL_STEP)
    elif cause is Cause.RE_ADD:
        work, fewest, most = "descendants walked", caches.walk.steps, caches.walk.steps
        seconds = (SECONDS_PER_WALK_STEP, 2 * SECONDS_PER_WALK_STEP)
    else:
        return None
    speed = 1.0 if cores is None else max(0.01, min(1.0, cores))
    total = (cost.seconds(fewest, seconds[0] / speed), cost.seconds(most, seconds[1] / speed))
    rate = (speed / seconds[1], speed / seconds[0])
    return Remaining(work, fewest, most, rate, total, elapsed, (_left(total[0], elapsed), _left(total[1], elapsed)))


def _left(total: float | None, elapsed: float | None) -> float | None:
    return None if total is None else max(0.0, total - (elapsed or 0.0))
