"""Which configuration is in force: the file's, the stored one, or the one before."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from vconflow.config import Config, build, parse
from vconflow.errors import ConfigError, Conflict, Problem, Unavailable
from vconflow.live_config import ConfigFile, LiveConfig
from vconflow.ports.config_store import ConfigVersion, NewVersion
from vconflow.testing.memory.config_store import MemoryConfigStore

ENV = {"SECRET": "the-value"}


def text(tag: str, more: str = "") -> str:
    return f"links: {{mark: {{module: links.tag, options: {{tags: ['{tag}']}}}}}}\n{more}"


class Site:
    """Runs nothing; refuses a configuration with the tag `broken`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.applied: list[str] = []

    async def apply(
        self, config: Config, confirm: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        if tag_of(config) == "broken":
            raise ConfigError([Problem(("links.mark",), "no the-value there", "open")])
        if confirm is not None:
            await confirm()
        self.config = config
        self.applied.append(tag_of(config))


def tag_of(config: Config) -> str:
    tags = config.raw["links"]["mark"]["options"]["tags"]
    return str(tags[0])


class Replica:
    """One replica with a file of its own on a shared store."""

    def __init__(self, store: MemoryConfigStore, folder: Path, content: str) -> None:
        self.path = folder / "config.yml"
        self.path.write_text(content)
        self.now = 0.0
        self.site = Site(parse(content, ENV))
        self.live = LiveConfig(
            self.site,
            store,
            ENV,
            ConfigFile(self.path),
            data_dir=folder / "data",
            monotonic=lambda: self.now,
        )

    @property
    def tag(self) -> str:
        return tag_of(self.site.config)

    async def write(self, content: str, source: str = "file") -> None:
        self.path.write_text(content)
        await self.live.look_at_file(source)

    async def post(self, tag: str) -> ConfigVersion:
        return await self.live.replace(parse(text(tag), ENV).raw, by="key")


@pytest.fixture
def store() -> MemoryConfigStore:
    return MemoryConfigStore(lambda: 0)


@pytest.fixture
async def one(store: MemoryConfigStore, tmp_path: Path) -> Replica:
    replica = Replica(store, tmp_path, text("file"))
    await replica.live.start()
    return replica


async def started(store: MemoryConfigStore, folder: Path, content: str) -> Replica:
    replica = Replica(store, folder, content)
    await replica.live.start()
    return replica


async def by_serial(store: MemoryConfigStore) -> list[tuple[int, str]]:
    return [(version.serial, version.by) for version in await store.versions()]


async def test_the_first_start_stores_the_file(store: MemoryConfigStore, one: Replica) -> None:
    assert await by_serial(store) == [(1, "file")]
    assert one.site.applied == []
    assert one.live.serial == 1


async def test_what_was_posted_outlives_a_restart_with_the_same_file(
    store: MemoryConfigStore, one: Replica, tmp_path: Path
) -> None:
    await one.post("posted")
    again = await started(store, tmp_path, text("file") + "# with a comment\n")
    assert (again.tag, again.live.serial) == ("posted", 2)
    await again.write(text("file"), "signal")
    assert again.tag == "posted"


async def test_another_file_wins_at_the_start(
    store: MemoryConfigStore, one: Replica, tmp_path: Path
) -> None:
    await one.post("posted")
    again = await started(store, tmp_path, text("other"))
    assert again.tag == "other"
    assert await by_serial(store) == [(3, "file"), (2, "key"), (1, "file")]
    await one.live.catch_up()
    assert one.tag == "other"


async def test_replicas_that_see_the_same_new_file_make_one_version(
    store: MemoryConfigStore, one: Replica, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    two = await started(store, tmp_path / "two", text("file"))
    await asyncio.gather(one.write(text("new")), two.write(text("new")))
    assert (one.tag, two.tag) == ("new", "new")
    assert await by_serial(store) == [(2, "file"), (1, "file")]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("chains: {c: {links: [x], ingress_lists: [i]}}", "unknown_link at chains.c.links[0]"),
        ("links: [", "syntax"),
        ("", "empty"),
        (" \n", "empty"),
        (text("broken"), "open at links.mark"),
        ("x: '${SECRET}'\nchains: {c: {links: [\"${SECRET}\"], ingress_lists: [i]}}", "unknown"),
    ],
)
async def test_a_bad_file_changes_nothing_and_is_told(
    store: MemoryConfigStore, one: Replica, content: str, word: str
) -> None:
    await one.write(content)
    assert one.tag == "file"
    assert word in str(one.live.troubles)
    assert "the-value" not in str(one.live.troubles)
    assert len(await store.versions()) == 1
    await one.post("posted")
    assert one.tag == "posted"
    assert str(one.live.troubles)  # the file is as bad as before
    await one.write(text("good"))
    assert (one.tag, str(one.live.troubles)) == ("good", "")


async def test_a_file_is_read_once_unless_it_changes(one: Replica) -> None:
    await one.write("links: [")
    one.live.troubles.end("file")
    await one.live.look_at_file("file")
    assert str(one.live.troubles) == ""
    await one.live.look_at_file("signal")
    assert "syntax" in str(one.live.troubles)


async def test_a_stored_version_that_cannot_be_used_here(
    store: MemoryConfigStore, one: Replica
) -> None:
    bad = build({"links": {"mark": {"module": "links.tag", "options": {"tags": ["broken"]}}}}, {})
    new = NewVersion(document=bad.raw, hash=bad.version, file_hash="elsewhere", by="other")
    await store.put(new, expected=1)
    await one.live.catch_up()
    assert (one.tag, one.live.serial) == ("file", 1)
    assert str(one.live.troubles) == "version 2 cannot be used: open at links.mark"
    # It is tried again now and then, not all the time: what it needs may come back.
    applied = one.site.apply
    calls = 0

    async def counting(config: Config, confirm: Any = None) -> None:
        nonlocal calls
        calls += 1
        await applied(config, confirm)

    one.site.apply = counting  # type: ignore[method-assign]
    await one.live.catch_up()
    assert calls == 0
    one.now += 61
    await one.live.catch_up()
    assert calls == 1
    await one.post("posted")
    assert (one.tag, str(one.live.troubles), one.live.serial) == ("posted", "", 3)


async def test_the_file_decides_what_the_store_may_name(
    store: MemoryConfigStore, one: Replica, tmp_path: Path
) -> None:
    with_variable = text("${SECRET}")
    (tmp_path / "two").mkdir()
    two = await started(store, tmp_path / "two", with_variable)
    await one.live.catch_up()
    assert one.tag == "file"
    assert "untrusted_variable at links.mark.options.tags[0]" in str(one.live.troubles)
    await one.write(with_variable)
    assert (one.tag, str(one.live.troubles)) == (two.tag, "")
    assert len(await store.versions()) == 2


async def test_files_are_stored_where_the_file_and_the_data_folder_allow_it(
    store: MemoryConfigStore, tmp_path: Path
) -> None:
    def with_path(path: Path) -> str:
        options = f"{{path: '{path}'}}"
        return text("x", f"storages: {{files: {{module: storage.file, options: {options}}}}}")

    one = await started(store, tmp_path, with_path(tmp_path / "named"))
    for path in ("named/below", "data/storage"):
        await one.live.replace(parse(with_path(tmp_path / path), ENV).raw, by="key")
    new = parse(with_path(tmp_path / "new"), ENV).raw
    with pytest.raises(ConfigError, match="neither in the data folder"):
        await one.live.replace(new, by="key")
    await one.write(with_path(tmp_path / "new") + "# comment\nx-more: 1\n")
    await one.live.replace(new, by="key")


async def test_a_redis_that_lost_everything_gets_what_runs(one: Replica) -> None:
    await one.post("posted")
    one.live._store = fresh = MemoryConfigStore(lambda: 0)
    await one.live.catch_up()
    assert one.tag == "posted"
    assert [version.serial for version in await fresh.versions()] == [1]


async def test_what_was_posted_outlives_a_redis_that_lost_everything(
    one: Replica, tmp_path: Path
) -> None:
    await one.post("posted")
    one.live._store = fresh = MemoryConfigStore(lambda: 0)
    fresh.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await one.live.catch_up()
    fresh.error = None
    await one.live.catch_up()
    await one.live.look_at_file("signal")
    again = await started(fresh, tmp_path, text("file"))
    assert (one.tag, again.tag) == ("posted", "posted")


async def test_an_outage_changes_nothing_and_the_file_is_taken_later(
    store: MemoryConfigStore, one: Replica
) -> None:
    store.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await one.write(text("new"))
    with pytest.raises(Unavailable):
        await one.post("posted")
    assert one.tag == "file"
    store.error = None
    await one.live.look_at_file("file")
    assert one.tag == "new"


async def test_an_answer_lost_after_the_version_was_stored(
    store: MemoryConfigStore, one: Replica
) -> None:
    """Whoever asked hears of an outage; what is stored comes into force all the same."""
    put = store.put

    async def lost(new: NewVersion, *, expected: int) -> ConfigVersion:
        await put(new, expected=expected)
        raise Unavailable("the answer was lost")

    store.put = lost  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await one.post("posted")
    assert one.tag == "file"
    await one.live.catch_up()
    assert one.tag == "posted"


async def test_a_writer_that_others_overtake_again_and_again(
    store: MemoryConfigStore, one: Replica
) -> None:
    async def overtaken(new: NewVersion, *, expected: int) -> ConfigVersion:
        raise Conflict("too late")

    store.put = overtaken  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await one.write(text("new"))
    with pytest.raises(Conflict):
        await one.post("posted")
    assert one.tag == "file"
