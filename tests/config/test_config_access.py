"""The sections `api_keys` and `ingress_auth`."""

import pytest

from vconflow.config import mask, parse
from vconflow.errors import ConfigError
from vconflow.ports.access import AccessRules, ApiKey, PartnerKey, RateLimit, Role
from vconflow.ports.component import Secret


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    return [str(problem) for problem in caught.value.problems]


def test_api_keys_with_roles_and_rates() -> None:
    text = """
        api_keys:
          viewer: {key: "${VIEWER}", role: read}
          loader: {key: b, role: write, rate_limit: {per_second: 2.5}}
          boss: {key: c, role: admin, rate_limit: {per_second: 0.1, burst: 7}}
    """
    assert parse(text, {"VIEWER": "a"}).access == AccessRules(
        (
            ApiKey("viewer", Secret("a"), Role.READ),
            ApiKey("loader", Secret("b"), Role.WRITE, RateLimit(2.5, 2)),
            ApiKey("boss", Secret("c"), Role.ADMIN, RateLimit(0.1, 7)),
        )
    )


def test_partner_keys_in_every_form() -> None:
    text = """
        ingress_auth:
          a: one
          b: [one, {name: acme, key: two, rate_limit: {per_second: 5}}]
          c: {name: acme, key: two}
        chains: {main: {ingress_lists: [a, b, c]}}
    """
    config = parse(text, {})
    partners = config.access.partners
    (of_a,) = partners["a"]
    assert of_a.key == Secret("one")
    assert "one" not in of_a.name
    assert partners["b"] == (of_a, PartnerKey("acme", Secret("two"), RateLimit(5, 5)))
    assert partners["c"] == (PartnerKey("acme", Secret("two")),)
    assert config.warnings == ()


def test_the_name_of_a_partner_outlives_other_keys() -> None:
    before = parse("ingress_auth: {a: [old, stays]}", {}).access.partners["a"][1]
    after = parse("ingress_auth: {a: [stays, new]}", {}).access.partners["a"][0]
    assert before == after


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "api_keys: {x: {key: k, role: reed}}",
            "api_keys.x.role: expected one of read, write, admin, did you mean 'read'?",
        ),
        (
            "api_keys: {x: {key: k, rolle: read}}",
            "api_keys.x: unknown option 'rolle', did you mean 'role'?",
        ),
        ("api_keys: {x: {role: read}}", "api_keys.x.key: is required"),
        ("api_keys: {x: k}", "api_keys.x: expected a mapping, got str"),
        (
            'api_keys: {x: {key: " ", role: read}}',
            "api_keys.x.key: an empty key would let everybody in",
        ),
        (
            "api_keys: {x: {key: k, role: read}, y: {key: k, role: admin}}",
            "api_keys.y.key: is the same key as api_keys.x.key",
        ),
        (
            "{api_keys: {x: {key: k, role: read}}, ingress_auth: {a: [j, k]}}",
            "ingress_auth.a[1]: is the same key as api_keys.x.key",
        ),
        ("ingress_auth: {a: [k, k]}", "ingress_auth.a[1]: the same key stands in this list twice"),
        (
            "api_keys: {main: {key: k, role: read}}",
            "api_keys.main: is the name of CONSERVER_API_TOKEN: take another",
        ),
        (
            'api_keys: {"a b": {key: k, role: read}}',
            "api_keys.a b: a name is 1 to 64 letters, digits, dots, hyphens and underscores",
        ),
        (
            "ingress_auth: {a: {name: n}}",
            "ingress_auth.a.key: is required",
        ),
        (
            "api_keys: {x: {key: k, role: read, rate_limit: {per_second: 0}}}",
            "api_keys.x.rate_limit.per_second",
        ),
        (
            "api_keys: {x: {key: k, role: read, rate_limit: {per_second: 1, bust: 2}}}",
            "api_keys.x.rate_limit: unknown option 'bust', did you mean 'burst'?",
        ),
        ("api_key: {x: {key: k, role: read}}", "unknown section 'api_key', did you mean"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(section: str, expected: str) -> None:
    found = problems(section)
    assert any(problem.startswith(expected) for problem in found), found


def test_no_error_shows_a_key() -> None:
    text = """
        api_keys: {x: {key: HIDDEN, role: HIDDEN}, y: {key: [HIDDEN], role: read}}
        ingress_auth: {a: [HIDDEN, HIDDEN, {key: HIDDEN, nam: n}]}
    """
    assert "HIDDEN" not in " ".join(problems(text))


def test_keys_are_masked_and_the_rest_is_shown() -> None:
    config = parse(
        """
        api_keys:
          x: {key: hidden1, role: read, rate_limit: {per_second: 1}}
          y: {key: "${KEY}", role: write}
        ingress_auth:
          key: hidden3
          name: [hidden4, {name: acme, key: hidden5}]
          b: {name: shown, key: hidden5}
        """,
        {"KEY": "hidden2"},
    )
    shown = mask(config)
    assert "hidden" not in str(shown)
    assert shown["api_keys"]["x"]["rate_limit"] == {"per_second": 1}
    assert shown["api_keys"]["y"] == {"key": "${KEY}", "role": "write"}
    assert shown["ingress_auth"] == {
        "key": "***",
        "name": ["***", {"name": "acme", "key": "***"}],
        "b": {"name": "shown", "key": "***"},
    }
    assert "hidden" not in repr(config)
