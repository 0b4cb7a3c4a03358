"""A worker that gives its supervisor far too much to read keeps no other's check waiting, and the race ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos_lab import LONG, figure
from stall_lab import FLOODS, race_beside

if TYPE_CHECKING:
    from race_lab import Lab

SIZE = 1.0 if LONG else 0.1
JUDGED_WITHIN_S, ENDS_WITHIN_S = (1.0, 5.0) if LONG else (5.0, 20.0)  # the short form runs beside other tests
FORMS = [*([each] for each in FLOODS if LONG), [*FLOODS]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("floods", FORMS, ids=" ".join)
def test_an_honest_winner_beside_floods(lab: Lab, floods: list[str]) -> None:
    waits = race_beside(lab, floods, SIZE)
    judged = f"judged within {max(waits.judged):.2f} s"
    figure(f"stalls: {', '.join(floods)}: {judged}, the race ended after {waits.ended:.2f} s")
    assert max(waits.judged) < JUDGED_WITHIN_S
    assert waits.ended < ENDS_WITHIN_S
    assert lab.survivors() == []
