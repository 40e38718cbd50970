"""What GET /config shows."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from config_support import read

from vconflow.config import load, mask, mask_document
from vconflow.links.tag import TagOptions

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


def test_options_of_modules_of_the_contract_are_all_hidden() -> None:
    config = read("""
        links:
          x: {module: strangers_module, options: {api: hidden, n: 5, t: {token: 7, on: true}}}
    """)
    assert mask(config)["links"]["x"] == {
        "module": "strangers_module",
        "options": {"api": "***", "n": 5, "t": {"token": "***", "on": True}},
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
        "{url: 'http://u:p@ss@host/x?mail=a', names: ['redis://:p@h', 'http://h/a@b']}"
    )
    assert options == {
        "url": "http://***@host/x?mail=a",
        "names": ["redis://***@h", "http://h/a@b"],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://u:hid/den@h:80/x now", "see http://*** now"),
        ("http://u:1?den@h", "http://***"),
        ("http://u:1#den@h", "http://***"),
        ("http://u:S3@hid/den@h/x", "http://***"),
        ("redis://:12@hid/den@h", "redis://***"),
        ("http://u:p@ss@host/x?mail=a@b.c", "http://***"),
        # It may be a password, by its form.
        ("http://h:8080/users/a@b", "http://***"),
        ("http://[::1]/users/a@b", "http://[::1]/users/a@b"),
        ("http://a/,http://u:hidden@b/", "http://a/,http://***@b/"),
        ("https://login/?next=https://u:hidden@h/x", "https://login/?next=https://***@h/x"),
    ],
)
def test_urls_lose_passwords_that_should_be_written_otherwise(text: str, shown: str) -> None:
    assert masked_options(f"{{url: '{text}'}}") == {"url": shown}


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
            module: links.hugging_llm_link
            options: {<<: *shared, model: m, sampling_rate: 0.1, deep: [{pin_token: 7, on: true}]}
            remark: hidden
        chains: {c: {links: [a], ingress_lists: [l], wiki: 'hidden'}}
        ingress_auth: {l: [hidden, hidden2], key: hidden, name: {name: n, key: hidden}}
        api_keys: {ops: {key: hidden3, role: admin}}
        followers: {f: {url: 'http://u:p@h', egress_list: e, follower_ingress_list: l,
          auth_token: hidden}}
        imports: {i: {module: m, pip_name: 'git+https://hidden@github.com/x/y.git'}, j: k}
    """)
    shown = mask(config)
    assert "hidden" not in msgspec.json.encode(shown).decode()
    assert shown["links"]["a"]["module"] == "links.hugging_llm_link"
    assert shown["links"]["a"]["options"] == {
        "OPENAI_API_KEY": "***",
        "model": "***",
        "sampling_rate": 0.1,
        "deep": [{"pin_token": "***", "on": True}],
    }
    assert shown["chains"]["c"]["links"] == ["a"]
    assert shown["ingress_auth"] == {
        "l": ["***", "***"],
        "key": "***",
        "name": {"name": "n", "key": "***"},
    }
    assert shown["api_keys"] == {"ops": {"key": "***", "role": "admin"}}
    assert shown["followers"]["f"]["url"] == "http://***@h"
    assert shown["imports"] == {
        "i": {"module": "m", "pip_name": "git+https://***@github.com/x/y.git"},
        "j": "k",
    }


def test_masking_changes_nothing_of_the_configuration_itself() -> None:
    config = read("ingress_auth: {l: hidden}\nlinks:\n")
    assert mask(config) == {"ingress_auth": {"l": "***"}, "links": None}
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


def masked_webhook(url: str) -> Any:
    options = f"{{webhook-urls: ['{url}']}}"
    config = read(f"links: {{x: {{module: links.webhook, options: {options}}}}}", {"NAME": "n"})
    return mask(config)["links"]["x"]["options"]["webhook-urls"][0]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example/T0/B0", "https://hooks.example/***/***"),
        ("https://h.example", "https://h.example"),
        ("https://h.example:8443/", "https://h.example:8443/"),
        ("hooks.example/T0?to=me", "hooks.example/***?to=***"),
        ("https://u:p@h/x?a=1&b=${NAME}#part", "https://***@h/***?a=***&b=${NAME}#***"),
        ("https://h/?bare", "https://h/?***"),
        ("https://${NAME}@h/${NAME}/x", "https://${NAME}@h/${NAME}/***"),
        ("https://u:12/WS@h.example/x", "https://***"),
        ("https://u:12#WS@h.example", "https://***"),
        ("${NAME}", "${NAME}"),
        ("https://${NAME}/", "https://${NAME}/"),
        ("https://h/${NAME:-secret}", "https://h/***"),
    ],
)
def test_of_a_webhook_only_the_server_is_shown(url: str, shown: str) -> None:
    assert masked_webhook(url) == shown


def test_a_document_that_nobody_checked_is_masked_all_the_same() -> None:
    document = {
        "links": {"a": "hidden", "b": {"module": "m", "options": ["hidden"]}, "c": None},
        "storages": ["hidden"],
        "chains": {"c": {"links": {"x": 1}, "remark": "hidden"}},
        "ingress_auth": "hidden",
        "other": {"deep": [{"x": "hidden"}]},
    }
    shown = mask_document(document, lambda _section, _name: None)
    assert "hidden" not in str(shown)
    assert shown["links"]["c"] is None


def test_an_option_that_the_type_does_not_know_is_masked() -> None:
    document = {"links": {"a": {"module": "links.tag", "options": {"tags": ["x"], "no": "hidden"}}}}
    shown = mask_document(document, lambda _section, _name: TagOptions)
    assert shown["links"]["a"]["options"] == {"tags": ["x"], "no": "***"}
