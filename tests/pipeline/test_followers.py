"""Followers that come, change and go while ids are on their way from the other side."""

import asyncio

import msgspec
import pytest
from follow_support import NAME, UUIDS, Journal, Site
from pipeline_support import until

from vconflow.adapters.clock import SystemClock
from vconflow.errors import Unavailable
from vconflow.pipeline import followers as module
from vconflow.pipeline.followers import Followers, following
from vconflow.ports.follow import Follow

FOLLOW = Follow(name=NAME, url="http://x", egress_list="out", into="in", interval=60, limit=40)


@pytest.fixture
def followers(journal: Journal, site: Site, monkeypatch: pytest.MonkeyPatch) -> Followers:
    monkeypatch.setattr(module, "_FINISH", 0.05)
    return Followers(lambda _: site, journal, site, SystemClock(), lambda: False, lease=30)


async def test_another_configuration_lets_a_pull_end(followers: Followers, site: Site) -> None:
    followers.configure([FOLLOW])
    site.answering.clear()
    async with following(followers):
        await until(lambda: site.pulls)
        followers.configure([msgspec.structs.replace(FOLLOW, limit=39, interval=0.01)])
        await until(lambda: site.pulls == [40, 39])
        await asyncio.sleep(0.1)  # longer than the process would wait at its end
        site.answering.set()
        await until(lambda: site.stored)
    assert site.stored == UUIDS


async def test_a_pull_of_one_that_was_removed_is_written_down(
    followers: Followers, site: Site, journal: Journal
) -> None:
    followers.configure([FOLLOW])
    site.answering.clear()
    async with following(followers):
        await until(lambda: site.pulls)
        followers.configure([])
        await until(lambda: not followers.states)
        await asyncio.sleep(0.1)
        journal.failures = [Unavailable("away")]
        site.answering.set()
        await until(lambda: journal.entries)
    assert [item.uuid for item in journal.entries] == UUIDS


async def test_the_end_of_the_process_waits_for_no_pull_for_ever(
    followers: Followers, site: Site, journal: Journal
) -> None:
    followers.configure([FOLLOW])
    site.answering.clear()
    async with asyncio.timeout(30), following(followers):
        await until(lambda: site.pulls)
    assert not journal.entries
