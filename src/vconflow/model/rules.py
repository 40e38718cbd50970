"""What a version demands beyond types: the one place where versions differ in strictness.

`"0.4.0"` is written by four drafts (core-01 to -04), so its rules are those that all four share.
Documents of older or unknown versions, or without one, are held only to what is wrong in every
version: real ones break the rest, and losing a conversation is worse than keeping an odd one.
Never demanded: `start`, `party` and `dialog` of attachments (the tags that every version of the
reference server writes have none).
"""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["DIALOG_TYPES", "RULES", "Rules", "rules_for"]

DIALOG_TYPES = frozenset({"recording", "recording-set", "text", "transfer", "incomplete"})

_CONTENT = ("mediatype", "filename", "body", "encoding", "url", "content_hash")
_MOVE = ("transferee", "transferor", "original", "target_dialog")
_TRANSFER = (*_MOVE, "transfer_target", "consultation")
_TALK = ("parties", "originator", "message_id", "session_id", "party_history")
_SET = ("recordings", "recording_set")


class Rules(NamedTuple):
    """What a version demands and forbids.

    `required` and `forbidden` are by dialog type; `analysis` names what an analysis must have.
    """

    required: Mapping[str, tuple[str, ...]] = {}
    forbidden: Mapping[str, tuple[str, ...]] = {}
    inline_mediatype: bool = False
    analysis: tuple[str, ...] = ("type",)
    party_event: tuple[str, ...] = ()


LENIENT = Rules()

RULES: Mapping[str, Rules] = {
    "0.4.0": Rules(
        required={"recording-set": ("recordings",), "incomplete": ("disposition",)},
        forbidden={
            "recording": ("recordings", *_TRANSFER),
            "recording-set": ("recording_set", "message_id", *_CONTENT, *_TRANSFER),
            "text": (*_SET, *_TRANSFER),
            "transfer": (*_TALK, *_SET, *_CONTENT),
            "incomplete": ("message_id", *_SET, *_CONTENT, *_TRANSFER),
        },
        inline_mediatype=True,
        analysis=("type", "vendor"),
        party_event=("party", "time", "event"),
    ),
}


def rules_for(version: str | None) -> Rules:
    """Return the rules of a document's `vcon` member."""
    return RULES.get(version or "", LENIENT)
