"""The link, by the contract of all links and by its own."""

import pytest

from vconflow.model.vcon import Vcon
from vconflow.ports.component import Resources
from vconflow.ports.link import LinkRun
from vconflow.testing.contracts.link import LinkContract
from vconflow_example.mask_cards import MaskCardsLink, MaskCardsOptions


class TestMaskCards(LinkContract):
    link_class = MaskCardsLink
    changes = frozenset({"dialog"})

    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("It is 4111 1111 1111 1111, ok?", "It is ***************1111, ok?"),
            ("call 555 0100", "call 555 0100"),
            ("4111111111111111", "************1111"),
        ],
    )
    async def test_masks_cards_and_nothing_else(
        self, resources: Resources, text: str, masked: str
    ) -> None:
        vcon = Vcon(
            b'{"uuid":"018e3f2a-9c1b-8a2b-b3c4-d5e6f7a8b9c0","created_at":"2025-03-21T06:59:56Z"}'
        )
        vcon.add_dialog(type="text", start="2025-03-21T06:59:56Z", body=text)
        async with MaskCardsLink.open(MaskCardsOptions(), resources) as link:
            await link(vcon, LinkRun("mask", "main", "in", "1-0"))
        assert vcon.dialog[0]["body"] == masked
