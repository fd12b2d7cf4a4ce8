"""What is known about the causes."""

from __future__ import annotations

from cachedoctor.diagnosis.causes import CAUSE_OF, KNOWLEDGE, Cause
from cachedoctor.diagnosis.phases import WORDS, Phase


def test_every_cause_is_described() -> None:
    assert list(KNOWLEDGE) == list(Cause)
    for known in KNOWLEDGE.values():
        assert all((known.title, known.affects, known.what, known.ends, known.now, known.for_good))


def test_every_phase_has_words_and_at_most_one_cause() -> None:
    assert set(WORDS) == set(Phase)
    phases = [known.phase for known in KNOWLEDGE.values() if known.phase]
    assert len(phases) == len(CAUSE_OF) == len(set(phases))
    assert set(Phase) - set(CAUSE_OF) == {Phase.DATABASE, Phase.UNPACKING, Phase.OTHER}


def test_what_holds_others_is_work_on_cache_keys() -> None:
    assert all(known.graph_work for known in KNOWLEDGE.values() if known.holds_others)
