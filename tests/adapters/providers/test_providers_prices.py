"""What calls cost."""

from pathlib import Path

import msgspec
import pytest

from vconflow.adapters.providers import Prices
from vconflow.app.options import prices_of
from vconflow.errors import ConfigError
from vconflow.ports.usage import Usage
from vconflow.registry import BUILT_IN, Kind, load
from vconflow.settings import Settings


def tokens(provider: str, model: str, read: int = 1_000_000, written: int = 100_000) -> Usage:
    return Usage(provider, model, input_tokens=read, output_tokens=written)


@pytest.mark.parametrize(
    ("usage", "asked", "cost"),
    [
        (tokens("openai", "gpt-4o"), "gpt-4o", 3.5),
        (tokens("openai", "gpt-4o-2024-11-20"), "gpt-4o", 3.5),
        (tokens("openai", "gpt-4-0613"), "gpt-4", 36.0),
        (tokens("azure", "gpt-4o-mini-2024-07-18"), "our-deployment", 0.21),
        (tokens("litellm", "openai/gpt-4o"), "openai/gpt-4o", 3.5),
        (tokens("openai", "renamed"), "gpt-4o", 3.5),
        (tokens("openai", "gpt-4o-but-another"), "gpt-4o-but-another", None),
        (tokens("litellm", "anthropic/claude"), "anthropic/claude", None),
        (tokens("elsewhere", "gpt-4o"), "gpt-4o", None),
        (Usage("deepgram", "nova-3", audio_seconds=120.0), "nova-3", 0.0086),
        (Usage("groq", "whisper-large-v3", audio_seconds=3600.0), "whisper-large-v3", 0.111),
        (Usage("deepgram", "nova-2-phonecall", audio_seconds=60.0), "nova-2-phonecall", None),
        # How long the recording was is not known, so neither is the price.
        (Usage("openai", "gpt-4o-transcribe", input_tokens=50), "gpt-4o-transcribe", None),
    ],
)
def test_costs(usage: Usage, asked: str, cost: float | None) -> None:
    found = Prices().cost(usage, asked)
    assert found == (cost if cost is None else pytest.approx(cost))


def test_own_prices_go_first(tmp_path: Path) -> None:
    file = tmp_path / "prices.yml"
    file.write_text(
        "openai:\n  gpt-4o: {input: 1, output: 2}\n"
        "deepgram:\n  nova-2-phonecall: {minute: 0.5}\n"
        "hugging_face:\n  openai/whisper-large-v3: {minute: 0.01}\n"
    )
    prices = prices_of(Settings.load({"VCONFLOW_PRICES_FILE": str(file)}))
    assert prices.cost(tokens("openai", "gpt-4o"), "gpt-4o") == pytest.approx(1.2)
    assert prices.cost(tokens("openai", "gpt-4.1"), "gpt-4.1") == pytest.approx(2.8)
    minute = Usage("deepgram", "nova-2-phonecall", audio_seconds=60.0)
    assert prices.cost(minute, minute.model) == 0.5
    endpoint = Usage("hugging_face", "openai/whisper-large-v3", audio_seconds=60.0)
    assert prices.cost(endpoint, endpoint.model) == 0.01


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("openai: {gpt-4o: {input: -1}}", "holds no prices: .*gpt-4o|>= 0"),
        ("openai: {gpt-4o: {inputs: 1}}", "unknown field `inputs`"),
        ("openai: [", "holds no prices"),
        ("- 1", "holds no prices"),
    ],
)
def test_a_file_that_holds_no_prices(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "prices.yml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=why) as caught:
        Prices.read(file)
    assert "VCONFLOW_PRICES_FILE" in str(caught.value)


def test_a_file_of_prices_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"VCONFLOW_PRICES_FILE: .* cannot be read: No such file"):
        Prices.read(tmp_path / "none.yml")


def test_what_links_ask_by_default_has_a_price() -> None:
    asked: dict[str, set[str]] = {"openai": set(), "groq": set()}
    for target in BUILT_IN[Kind.LINK].values():
        for field in msgspec.structs.fields(load(target).options):
            if field.name == "model" and isinstance(field.default, str):
                asked["groq" if "groq" in target.path else "openai"].add(field.default)
    assert len(asked["openai"]) > 4
    for provider, models in asked.items():
        for model in models:
            usage = Usage(provider, model, input_tokens=1000, audio_seconds=60.0)
            assert Prices().cost(usage, model), model
