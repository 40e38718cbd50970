"""What GET /config shows."""

from pathlib import Path
from typing import Any

import msgspec
from config_support import read

from vconflow.config import load, mask

SAMPLES = Path(__file__).parents[2] / "samples"


def masked_options(options: str) -> Any:
    config = read(
        f"links: {{x: {{module: 'strangers_components:EchoLink', options: {options}}}}}",
        {"NAME": "hidden"},
    )
    return mask(config)["links"]["x"]["options"]


def test_secrets_by_their_type_also_in_lists_and_mappings() -> None:
    text = (
        "{port: '80', names: [a], API_KEY: hidden, keys: [hidden], headers: {A: hidden},"
        " login: {user: u, password: hidden}, mixed: {k: hidden}}"
    )
    assert masked_options(text) == {
        "port": "80",
        "names": ["a"],
        "API_KEY": "***",
        "keys": ["***"],
        "headers": {"A": "***"},
        "login": {"user": "u", "password": "***"},
        "mixed": {"k": "***"},
    }


def test_a_union_without_secret_in_it_now_is_shown() -> None:
    assert masked_options("{mixed: plain}") == {"mixed": "plain"}


def test_the_name_of_a_variable_is_shown_its_value_and_default_are_not() -> None:
    assert masked_options("{api_key: '${NAME}'}") == {"api_key": "${NAME}"}
    assert masked_options("{api_key: '${NAME:-hidden}'}") == {"api_key": "***"}
    assert masked_options("{api_key: 'x${NAME}'}") == {"api_key": "***"}
    assert masked_options("{api_key: '$${NAME}'}") == {"api_key": "***"}


def test_urls_lose_user_and_password() -> None:
    options = masked_options(
        "{url: 'http://u:p@ss@host/x?mail=a@b.c', names: ['redis://:p@h', 'http://h/a@b']}"
    )
    assert options == {
        "url": "http://***@host/x?mail=a@b.c",
        "names": ["redis://***@h", "http://h/a@b"],
    }


def test_urls_lose_parameters_that_speak_of_a_credential() -> None:
    options = masked_options(
        "{url: 'https://h/x?a=1&api_key=hidden&Token=${NAME}&token=#keys=b',"
        " names: ['token?key=kept', 'see http://h/?secret=hidden now']}"
    )
    assert options == {
        "url": "https://h/x?a=1&api_key=***&Token=${NAME}&token=#keys=b",
        "names": ["token?key=kept", "see http://h/?secret=*** now"],
    }


def test_without_types_every_text_is_a_secret() -> None:
    config = read("""
        x-shared: &shared {OPENAI_API_KEY: hidden}
        links:
          a:
            module: links.analyze
            options: {<<: *shared, model: m, sampling_rate: 0.1, deep: [{pin_token: 7, on: true}]}
            remark: hidden
        chains: {c: {links: [a], ingress_lists: [l], wiki: 'hidden'}}
        ingress_auth: {l: [hidden, hidden]}
        followers: {f: {url: 'http://u:p@h', egress_list: e, follower_ingress_list: l,
          auth_token: hidden}}
        imports: {i: {module: m, pip_name: 'git+https://hidden@github.com/x/y.git'}, j: k}
    """)
    shown = mask(config)
    assert "hidden" not in msgspec.json.encode(shown).decode()
    assert shown["links"]["a"]["module"] == "links.analyze"
    assert shown["links"]["a"]["options"] == {
        "OPENAI_API_KEY": "***",
        "model": "***",
        "sampling_rate": 0.1,
        "deep": [{"pin_token": "***", "on": True}],
    }
    assert shown["chains"]["c"]["links"] == ["a"]
    assert shown["ingress_auth"] == {"l": ["***", "***"]}
    assert shown["followers"]["f"]["url"] == "http://***@h"
    assert shown["imports"] == {
        "i": {"module": "m", "pip_name": "git+https://***@github.com/x/y.git"},
        "j": "k",
    }


def test_masking_changes_nothing_of_the_configuration_itself() -> None:
    config = read("ingress_auth: {l: hidden}\nlinks:\n")
    assert mask(config) == {"ingress_auth": {"l": "***"}, "links": {}}
    assert config.raw["ingress_auth"] == {"l": "hidden"}
    assert "hidden" not in repr(config)


def test_the_sample_shows_no_credential() -> None:
    shown = msgspec.json.encode(mask(load(SAMPLES / "reference-config.yml", {}))).decode()
    for secret in (
        "partner-key",
        "support-key",
        "your-",
        "your_",
        "some_secret",
        "root:example",
        "upstream-api-token",
        "Bearer",
        'conserver","password":"conserver',
    ):
        assert secret not in shown
