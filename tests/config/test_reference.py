"""The generated reference."""

from pathlib import Path

import msgspec

from vconflow import registry
from vconflow.api.routes import ROUTES
from vconflow.cli import reference_text as reference
from vconflow.config.sections import SECTIONS
from vconflow.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_document_is_in_step() -> None:
    assert DOCUMENT.read_text() == reference.render(), "run: vconflow reference > docs/reference.md"


def test_every_option_and_variable_is_described() -> None:
    rows = [line.split(" | ") for line in reference.render().splitlines() if line[:3] == "| `"]
    assert len(rows) > 60
    assert [row[0] for row in rows if row[-1].strip(" |") == ""] == []


def test_every_component_and_variable_is_listed() -> None:
    text = reference.render()
    for names in (*registry.BUILT_IN.values(), *registry.NOT_BUILT.values()):
        assert [name for name in names if name not in text] == []
    variables = [field.encode_name for field in msgspec.structs.fields(Settings)]
    assert [name for name in variables if f"| `{name}` |" not in text] == []


def test_rows_tell_type_default_and_further_spellings() -> None:
    text = reference.render()
    assert "| `REDIS_URL` | secret |  |" in text
    assert "| `VCONFLOW_PORT` | int | `8000` |" in text
    assert "| `method` | modulo, percentage, rate, time_based | `percentage` |" in text
    assert "| `tag_routes` | mapping to (str or list of str) |  |" in text


def test_every_section_and_its_keys_are_listed() -> None:
    text = reference.render()
    assert [name for name in SECTIONS if f"`{name}`" not in text] == []
    keys = ("concurrency", "follower_ingress_list", "role", "burst", "pip_name", "batch")
    assert [name for name in keys if f"`{name}`" not in text] == []


def test_every_route_is_listed_with_the_role_that_it_needs() -> None:
    text = reference.render()
    assert [r.path for r in ROUTES if f"`{r.path}`" not in text and "asset" not in r.path] == []
    assert "| POST | `/chains/{chain}/pause` | admin |" in text
    assert "| POST | `/vcon/external-ingress` | a partner key |" in text
