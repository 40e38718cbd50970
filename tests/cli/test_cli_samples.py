"""The samples that we ship are what they claim to be."""

import json
from pathlib import Path
from typing import Any

import pytest

import vconflow
from vconflow import config
from vconflow.model.hashes import normal_hash
from vconflow.model.validation import validate

SAMPLES = Path(vconflow.__file__).parent / "samples"
FILES = sorted((SAMPLES / "conversations").glob("*.json"))


def documents() -> list[dict[str, Any]]:
    return [json.loads(file.read_bytes()) for file in FILES]


def test_there_are_enough_and_each_has_its_own_uuid() -> None:
    assert len(FILES) >= 20
    assert len({document["uuid"] for document in documents()}) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_is_a_valid_vcon(file: Path) -> None:
    facts = validate(file.read_bytes())
    for tel in facts.tels:
        # The numbers set aside for fiction, and the one for emergencies.
        assert tel == "911" or (tel.startswith("+1") and tel[5:10] == "55501"), tel
    for mailto in facts.mailtos:
        assert mailto.endswith("example.com")


def test_they_are_varied() -> None:
    all_of_them = documents()
    dialogs = [dialog for document in all_of_them for dialog in document["dialog"]]
    assert {document.get("vcon") for document in all_of_them} == {
        *("0.0.1", "0.0.2", "0.3.0", "0.4.0", None)
    }
    assert {dialog["type"] for dialog in dialogs} == {
        *("text", "recording", "recording-set", "transfer", "incomplete")
    }
    assert any(dialog.get("encoding") == "base64url" for dialog in dialogs)
    hashes = [dialog["content_hash"] for dialog in dialogs if "content_hash" in dialog]
    for one in hashes:
        for text in [one] if isinstance(one, str) else one:
            assert text == normal_hash(text)
    assert any(len(document["parties"]) > 4 for document in all_of_them)
    assert {"transcript", "summary", "sentiment"} <= {
        analysis["type"] for document in all_of_them for analysis in document["analysis"]
    }


def test_the_configuration_has_nothing_to_complain_about() -> None:
    loaded = config.load(SAMPLES / "config.yml", {})
    assert not loaded.warnings
    assert list(loaded.chains) == ["demo"]
