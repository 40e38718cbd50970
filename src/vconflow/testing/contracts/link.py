"""What every link has to do."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from vconflow.model.vcon import Vcon
from vconflow.ports.component import AnyComponent, Options, Resources
from vconflow.ports.link import Continue, Halt, Link, LinkRun, Replace, Route
from vconflow.testing.contracts.options import undescribed
from vconflow.testing.contracts.resources import resources_for

__all__ = ["LinkContract"]

DOCUMENT = (
    rb'{"vcon":"0.0.1", "uuid" : "018e3f2a-9c1b-8a2b-b3c4-d5e6f7a8b9c0",'
    rb'"created_at":"2024-03-14T09:26:53.589Z","subject":"S\u00e9ance \u0000","x-own":{"n":1.10,'
    rb'"big":123456789012345678901234567890,  "e":1E5},"redacted":{},"group":[],'
    rb'"parties":[ {"tel":"+1 555 0100","name":""},{"mailto":"a@example.com","own":[1 ,2]} ],'
    rb'"dialog":[{"type":"text","start":"2024-03-14T09:26:53Z","parties":[0,1],"body":"hi",'
    rb'"encoding":"none"}],"analysis":[],"attachments":[{"type":"note","body":"n",'
    rb'"encoding":"none"}],"meta":null}'
)


class LinkContract:
    """Subclass it and name your class in `link_class`; pytest runs every test on your link.

    `link_options` are the options to test with, as they stand in a configuration; `needs` names
    those of them without which the link does not open although they have defaults. `changes` names
    the top-level members that it may change. A link whose second run changes the vCon again sets
    `idempotent` to False and says why.
    """

    pytestmark = pytest.mark.asyncio
    link_class: ClassVar[Any]
    link_options: ClassVar[dict[str, Any]] = {}
    changes: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()
    idempotent: ClassVar[bool] = True

    @pytest.fixture
    def document(self) -> bytes:
        """The vCon that the link runs on."""
        return DOCUMENT

    @pytest.fixture
    def resources(self, tmp_path: Path) -> Resources:
        """What the link is opened with."""
        return resources_for(tmp_path)

    @pytest.fixture
    async def link(self, resources: Resources) -> AsyncIterator[Link]:
        """The open link."""
        options = msgspec.convert(self.link_options, self._options_class(), strict=False)
        async with self.link_class.open(options, resources) as link:
            yield link

    def _options_class(self) -> type[Options]:
        component: AnyComponent = self.link_class
        options: type[Options] = component.options  # type: ignore[attr-defined]  # by convention
        return options

    async def test_opens_with_default_options(self, resources: Resources) -> None:
        fields = msgspec.structs.fields(self._options_class())
        required = {field.encode_name for field in fields if field.required}
        given = {name: self.link_options[name] for name in required | self.needs}
        options = msgspec.convert(given, self._options_class(), strict=False)
        async with self.link_class.open(options, resources) as link:
            assert callable(link)

    async def test_refuses_an_unknown_option(self) -> None:
        with pytest.raises(msgspec.ValidationError, match="no_such_option"):
            msgspec.convert({"no_such_option": 1}, self._options_class())

    async def test_describes_every_option(self) -> None:
        assert undescribed(self._options_class()) == []

    async def test_returns_an_outcome(self, link: Link, document: bytes) -> None:
        outcome = await link(Vcon(document), _run())
        assert isinstance(outcome, Continue | Halt | Replace | Route)

    async def test_leaves_other_members_byte_for_byte(self, link: Link, document: bytes) -> None:
        vcon = Vcon(document)
        await link(vcon, _run())
        before, after = _members(document), _members(vcon.to_bytes())
        for name in self.changes | {"updated_at"}:
            before.pop(name, None)
            after.pop(name, None)
        assert list(after.items()) == list(before.items())

    async def test_a_second_run_changes_nothing(self, link: Link, document: bytes) -> None:
        if not self.idempotent:
            pytest.skip("the link says that it is not idempotent")
        first = Vcon(document)
        await link(first, _run())
        second = Vcon(first.to_bytes())
        await link(second, _run(attempt=2))
        assert second.to_bytes() == first.to_bytes()


def _run(attempt: int = 1) -> LinkRun:
    return LinkRun(link="tested", chain="main", list="in", entry="1-0", attempt=attempt)


def _members(document: bytes) -> dict[str, bytes]:
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    return {name: bytes(raw) for name, raw in members.items()}
