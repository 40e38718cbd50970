"""The measurement in small: it finds losses, and there are none of what a replica confirmed."""

from pathlib import Path

from .trial import SENDERS, Case, kill_master

KILLS = 2
LAG = 0.1


async def test_what_a_replica_confirmed_outlives_the_master(tmp_path: Path) -> None:
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        trial = await kill_master(folder, Case("replicated", LAG), seconds=1.0)
        assert trial.accepted > SENDERS
        assert trial.lost == 0


async def test_what_no_replica_confirmed_may_be_lost(tmp_path: Path) -> None:
    trial = await kill_master(tmp_path, Case("", LAG), seconds=0.5)
    assert 0 < trial.lost < trial.accepted
