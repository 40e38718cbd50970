"""vCons for the tests of the model."""

import json
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

# A busy machine is no failure.
settings.register_profile("vconflow", deadline=None)
settings.load_profile("vconflow")

DATA = Path(__file__).parents[2].parent / "shared/data"
UUID = "018e2d4a-6c7d-8a1b-9c3d-0123456789ab"


def conversations() -> list[bytes]:
    lines = (DATA / "conversations.ndjson").read_bytes().splitlines()
    assert len(lines) > 400
    return lines


def ietf(name: str) -> bytes:
    return (DATA / "ietf" / name).read_bytes()


IETF_INVALID = ("ab.vcon", "simple-vcon.vcon")
IETF_VALID = sorted(
    path.name for path in (DATA / "ietf").glob("*.vcon") if path.name not in IETF_INVALID
)


def vcon(**members: Any) -> dict[str, Any]:
    """A small vCon; a member given as `...` is left out."""
    whole = {
        "uuid": UUID,
        "vcon": "0.0.1",
        "created_at": "2024-03-11T09:30:00Z",
        "parties": [{"tel": "+15550001", "name": "Ann"}, {"mailto": "bo@example.com"}],
        "dialog": [{"type": "text", "start": "2024-03-11T09:30:00Z", "parties": [0, 1]}],
    } | members
    return {name: value for name, value in whole.items() if value is not ...}


def doc(**members: Any) -> bytes:
    return json.dumps(vcon(**members)).encode()


def new(**members: Any) -> bytes:
    return doc(**{"vcon": "0.4.0"} | members)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value."""

number_texts = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    fullmatch=True,
    alphabet=st.characters(max_codepoint=127),
)
"""Any JSON number as it may be written."""
