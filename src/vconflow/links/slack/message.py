"""What is posted about a vCon, and who is to see it."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from vconflow.model.vcon import Vcon

__all__ = ["blocks_of", "body_text", "details_url", "fitting", "includes", "team_and_dealer"]

_LIMIT: Final = 3000
"""Characters of one section; Slack refuses a longer one."""
_BROKEN: Final = re.compile(r"&[a-z]*\Z")
"""What is left of an escaped character when it was cut."""
_DEALER: Final = "strolid_dealer"


def includes(analysis: dict[str, Any], text: str) -> bool:
    """Whether the body of an analysis says something, as JSON if it is no text."""
    return text in body_text(analysis)


def body_text(analysis: dict[str, Any]) -> str:
    """The body as text."""
    body = analysis.get("body", "")
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def fitting(text: str, ending: str = "") -> str:
    """A text as Slack takes it, cut if it is too long; without mentions and links of its own.

    `ending` comes behind it as it is, and is short.
    """
    room = _LIMIT - len(ending)
    escaped = html.escape(text, quote=False)
    if len(escaped) > room:
        escaped = _BROKEN.sub("", escaped[: room - 1]) + "…"
    return escaped + ending


def details_url(template: str, uuid: str) -> str:
    """The page of a vCon: the uuid in place of `{vcon_id}`, else as the reference appends it."""
    if "{vcon_id}" in template:
        return template.replace("{vcon_id}", uuid)
    return f'{template}?_vcon_id="{uuid}"'


def blocks_of(text: str, url: str) -> list[dict[str, Any]]:
    """The message as Slack shows it; without a button if there is no URL."""
    blocks = [_section("Check this out :neutral_face:"), _section(text)]
    if url:
        button = {
            "type": "button",
            "text": {"type": "plain_text", "text": "Details", "emoji": True},
            "value": "click_me_123",
            "url": url,
            "action_id": "button-action",
        }
        blocks.append(_section("Please review the details here:") | {"accessory": button})
    return blocks


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def team_and_dealer(vcon: Vcon) -> tuple[str, str]:
    """The first word of the team's name in lower case, and the dealer's name; '' for none."""
    team = dealer = ""
    for body in _dealers(vcon):
        name = body.get("team", {}).get("name") if isinstance(body.get("team"), dict) else None
        words = name.lower().split() if isinstance(name, str) else []
        team = words[0] if words else team
        dealer = str(body.get("name") or "")
    return team, dealer


def _dealers(vcon: Vcon) -> Iterator[dict[str, Any]]:
    for attachment in vcon.attachments:
        if _DEALER in (attachment.get("purpose"), attachment.get("type")):
            body = attachment.get("body")
            if isinstance(body, str):
                try:
                    body = json.loads(body)
                except ValueError:
                    continue
            if isinstance(body, dict):
                yield body
