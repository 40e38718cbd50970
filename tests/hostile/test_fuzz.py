"""A few thousand random cases; `make fuzz` tries as many more as there is time for."""

from pathlib import Path

import pytest
from attacks import ATTACKS, attack, conversations
from stage import Stage

SEED = 1
CASES = {"mutated conversations": 700, "hostile JSON": 250, "bulk loads": 80, "requests": 700}


@pytest.mark.parametrize("name", ATTACKS)
def test_random_harm_is_refused_or_kept(stage: Stage, shared_data: Path, name: str) -> None:
    attack(name, stage, conversations(shared_data), SEED, CASES[name])
