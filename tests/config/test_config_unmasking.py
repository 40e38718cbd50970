"""Masked values that come back with POST /config."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vconflow.config import build, mask, mask_document, unmask
from vconflow.config.findings import Findings

DOCUMENT: dict[str, Any] = {
    "links": {
        "hook": {
            "module": "links.webhook",
            "options": {
                "webhook-urls": ["https://hooks.example/T/B?x=1", "https://b.example/same"],
                "headers": {"Authorization": "header-secret", "X-Team": "${TEAM}"},
                "timeout": 5,
            },
        },
        "tag": {"module": "links.tag", "options": {"tags": ["a", "***"]}},
    },
    "storages": {
        "pg": {
            "module": "storage.postgres",
            "options": {"host": "db.example", "password": "pg-secret", "table_name": "vcons"},
        },
        "later": {
            "module": "storage.dataverse",
            "options": {"url": "mongodb://u:mongo-secret@db", "collection": "calls", "pin": 7},
        },
    },
    "chains": {"main": {"links": ["hook"], "ingress_lists": ["in"]}},
    "ingress_auth": {
        "in": ["first-key", "second-key"],
        "named": [
            {"name": "acme", "key": "acme-key"},
            {"name": "bell", "key": "bell-key", "rate_limit": {"per_second": 5}},
        ],
    },
    "followers": {
        "up": {
            "url": "https://up.example/api",
            "egress_list": "e",
            "follower_ingress_list": "in",
            "auth_token": "follower-secret",
        }
    },
    "imports": {"more": {"module": "m", "pip_name": "git+https://git-secret@github.com/x/y"}},
}


def stored() -> tuple[dict[str, Any], dict[str, Any]]:
    config = build(copy.deepcopy(DOCUMENT), {"TEAM": "t"})
    return config.raw, mask(config)


def unmasked(document: Any) -> tuple[Any, list[str]]:
    findings = Findings()
    result = unmask(document, *stored(), findings)
    return result, [problem.place for problem in findings.errors]


def change(document: Any, path: str, value: Any) -> None:
    """Put a value where the path leads; None removes what is there."""
    *above, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in above:
        document = document[key]
    if value is None:
        del document[last]
    else:
        document[last] = value


def edited(path: str, value: Any) -> tuple[Any, list[str]]:
    """What comes of the shown document after one value of it is changed."""
    _, shown = stored()
    change(shown, path, value)
    return unmasked(shown)


def test_what_is_shown_has_no_secret_and_comes_back_whole() -> None:
    raw, shown = stored()
    for secret in ("-secret", "-key", "T/B", "/same", "first", "git-"):
        assert secret not in str(shown).replace("git+https", "")
    assert unmasked(shown) == (raw, [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("storages/pg/options/table_name", "others"),
        ("storages/pg/options/password", "new-one"),
        ("storages/pg/retry", {"attempts": 9}),
        ("links/hook/options/timeout", 9),
        ("links/hook/options/headers/X-New", "plain"),
        ("links/hook/options/headers/X-Team", None),
        ("storages/later/options/collection", "others"),
        ("followers/up/pulling_interval", 5),
        ("ingress_auth/named/1/rate_limit", {"per_second": 9}),
        ("ingress_auth/in", "only-key"),
        ("chains/main/enabled", False),
        ("links/tag/options/tags/0", "b"),
    ],
)
def test_an_edit_keeps_every_other_secret(path: str, value: Any) -> None:
    result, problems = edited(path, value)
    assert problems == []
    expected = copy.deepcopy(DOCUMENT)
    change(expected, path, value)
    assert result == expected


@pytest.mark.parametrize(
    ("path", "value", "places"),
    [
        ("storages/pg/options/host", "evil.example", ["storages.pg.options.password"]),
        ("storages/pg/options/port", 6000, ["storages.pg.options.password"]),
        ("storages/pg/options/host", None, ["storages.pg.options.password"]),
        ("storages/pg/module", "storage.dataverse", ["storages.pg.options.password"]),
        ("followers/up/url", "https://evil.example", ["followers.up.auth_token"]),
        (
            "links/hook/options/webhook-urls",
            ["https://evil.example"],
            ["links.hook.options.headers.Authorization"],
        ),
        (
            "links/hook/options/webhook-urls/1",
            "https://evil.example/***",
            [
                "links.hook.options.webhook-urls[1]",
                "links.hook.options.webhook-urls[0]",
                "links.hook.options.headers.Authorization",
            ],
        ),
        ("links/hook/options/webhook_urls", ["https://evil.example"], None),
        ("storages/later/options/host", "evil.example", None),
        (
            "imports/more/pip_name",
            "git+https://***@evil.example/x/y",
            ["imports.more.pip_name"],
        ),
    ],
)
def test_a_secret_does_not_go_elsewhere(path: str, value: Any, places: list[str] | None) -> None:
    result, problems = edited(path, value)
    assert problems
    if places is not None:
        assert sorted(problems) == sorted(places)
    del result


@pytest.mark.parametrize(
    ("path", "value", "places"),
    [
        ("ingress_auth/in", ["***"], ["ingress_auth.in[0]"]),
        ("ingress_auth/in", ["***", "new"], ["ingress_auth.in[0]"]),
        ("ingress_auth/in", ["***"] * 3, [f"ingress_auth.in[{n}]" for n in range(3)]),
        ("ingress_auth/in", "***", ["ingress_auth.in"]),
        ("ingress_auth/other", ["***"], ["ingress_auth.other[0]"]),
        ("ingress_auth/named/0/name", "other", ["ingress_auth.named[0].key"]),
        ("storages/new", {"module": "storage.postgres", "options": {"password": "***"}},
         ["storages.new.options.password"]),
        ("storages/pg/options/dsn", "***",
         ["storages.pg.options.dsn", "storages.pg.options.password"]),
        ("links/tag/options/tags", ["***", "***"],
         ["links.tag.options.tags[0]", "links.tag.options.tags[1]"]),
        ("x-note", "***", ["x-note"]),
    ],
)  # fmt: skip
def test_a_mask_without_a_stored_secret_is_refused(
    path: str, value: Any, places: list[str]
) -> None:
    assert edited(path, value)[1] == places


def test_items_of_a_list_keep_their_own_secrets() -> None:
    _, shown = stored()
    shown["ingress_auth"]["named"].reverse()
    result, problems = unmasked(shown)
    assert problems == []
    assert [item["key"] for item in result["ingress_auth"]["named"]] == ["bell-key", "acme-key"]
    del shown["ingress_auth"]["named"][1]
    assert unmasked(shown)[0]["ingress_auth"]["named"][0]["key"] == "bell-key"


texts = st.sampled_from(
    ["", "***", "a", "b", "${X}", "https://u:p@h/x?token=t", "https://***@h", "h.example:80"]
)
values = st.recursive(
    texts | st.integers(0, 3) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "key", "url", "host", "options"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
sections = st.sampled_from(
    [
        "links",
        "storages",
        "tracers",
        "chains",
        "imports",
        "ingress_auth",
        "api_keys",
        "followers",
        "x",
    ]
)
documents = st.dictionaries(
    sections, st.dictionaries(st.sampled_from(["a", "b"]), values, max_size=2) | values, max_size=4
)


@given(documents)
def test_every_document_comes_back_as_it_was(document: dict[str, Any]) -> None:
    findings = Findings()
    shown = mask_document(document, lambda _section, _name: None)
    assert unmask(copy.deepcopy(shown), document, shown, findings) == document
    assert findings.errors == []


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@given(documents, documents)
def test_no_mask_is_left_and_none_is_filled_from_another_place(
    document: dict[str, Any], new: dict[str, Any]
) -> None:
    """Whatever is sent: without a problem, no secret stands where the stored document has none."""
    findings = Findings()
    shown = mask_document(document, lambda _section, _name: None)
    result = unmask(new, document, shown, findings)
    if not findings.errors:
        sent = [str(leaf) for leaf in leaves(new)]
        for leaf in leaves(result):
            assert str(leaf) in sent or "***" in str(mask_document({"x": {"y": leaf}}, nothing))


def nothing(_section: str, _name: str) -> None:
    return None
