"""What every tracer has to do."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from vconflow.model.identifiers import new_uuid
from vconflow.ports.component import Options
from vconflow.ports.tracer import Passage, Tracer
from vconflow.testing.contracts.options import undescribed
from vconflow.testing.contracts.resources import resources_for
from vconflow.testing.contracts.storage import AWKWARD, stored

__all__ = ["TracerContract", "passage"]


def passage(link: str = "", next_link: str = "", members: str = "") -> Passage:
    """Return one of a small vCon; `members` is JSON text that begins with a comma."""
    vcon = stored(members=members)
    return Passage(
        chain="main",
        link=link,
        next_link=next_link,
        in_uuid=vcon.uuid,
        out_uuid=vcon.uuid,
        document=vcon.document,
    )


class TracerContract:
    """Subclass it, name your class, override the fixture `tracer`; pytest runs every test on it.

    `tracer` yields an open tracer whose service is there.
    """

    pytestmark = pytest.mark.asyncio
    tracer_class: ClassVar[Any]

    @pytest.fixture
    async def tracer(self) -> Tracer:
        raise NotImplementedError("override the fixture `tracer`")

    async def test_opens_with_default_options(self, tmp_path: Path) -> None:
        resources = resources_for(tmp_path)
        async with self.tracer_class.open(self._options()(), resources) as tracer:
            assert tracer.required in (True, False)

    async def test_refuses_an_unknown_option(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="no_such_option"):
            msgspec.convert({"no_such_option": 1}, self._options())

    async def test_describes_every_option(self) -> None:
        assert undescribed(self._options()) == []

    async def test_answers_a_ping(self, tracer: Tracer) -> None:
        await tracer.ping()

    @pytest.mark.parametrize("way", [("", "a"), ("a", "b"), ("b", ""), ("Ärger & Söhne", "日本")])
    async def test_takes_every_passage(self, tracer: Tracer, way: tuple[str, str]) -> None:
        await tracer.trace(passage(*way))

    @pytest.mark.parametrize("members", AWKWARD.values(), ids=AWKWARD)
    async def test_takes_every_document(self, tracer: Tracer, members: str) -> None:
        await tracer.trace(passage("a", "b", members))

    async def test_takes_repeats(self, tracer: Tracer) -> None:
        again = passage("a", "b")
        await tracer.trace(again)
        await tracer.trace(again)

    async def test_takes_a_vcon_that_a_link_replaced(self, tracer: Tracer) -> None:
        came = passage("a", "b")
        other = msgspec.structs.replace(came, in_uuid=new_uuid("contract"), before=b"{}")
        await tracer.trace(other)

    async def test_takes_many_at_once(self, tracer: Tracer) -> None:
        ways = [passage(f"l{n % 5}", f"l{n % 5 + 1}") for n in range(50)]
        await asyncio.gather(*map(tracer.trace, ways))

    def _options(self) -> type[Options]:
        options: type[Options] = self.tracer_class.options
        return options
