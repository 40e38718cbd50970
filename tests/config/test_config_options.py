"""Options of components: converted as real files need it, closed, all errors listed."""

from typing import Any, cast

import pytest
from config_support import problems, read

from vconflow.ports.component import Secret

LINK = "links: {{x: {{module: 'strangers_components:EchoLink', options: {options}}}}}"
NO_PORT = "no port in this URL: write special characters of the password as %XX"


def options_of(options: str, **env: str) -> Any:
    return cast(Any, read(LINK.format(options=options), env).links["x"].options)


@pytest.mark.parametrize("value", ['"5432"', "5432", "'${PORT}'", "'${OTHER:-5432}'"])
def test_numbers_may_be_written_as_text(value: str) -> None:
    assert options_of(f"{{port: {value}}}", PORT="5432").port == 5432


@pytest.mark.parametrize("value", ["1", '"1"', "true", '"true"', "yes", '"yes"', '"On"'])
def test_switches_may_be_written_in_many_ways(value: str) -> None:
    assert options_of(f"{{mode: fast, loud: {value}}}").loud is True


def test_every_kind_of_secret_is_wrapped() -> None:
    options = options_of(
        "{api_key: k1, keys: [k2], headers: {A: k3}, login: {user: u, password: k4},"
        " mixed: {b: k5}}",
    )
    assert options.api_key == Secret("k1")
    assert options.keys == (Secret("k2"),)
    assert options.headers == {"A": Secret("k3")}
    assert options.login.password == Secret("k4")
    assert options.mixed == {"b": Secret("k5")}
    assert "k1" not in repr(options)


def test_aliases_are_other_spellings() -> None:
    options = options_of("{API_KEY: k, url: http://here}")
    assert options.api_key == Secret("k")
    assert options.target_url == "http://here"


def test_a_value_left_empty_is_not_given_unless_nothing_is_an_answer() -> None:
    options = options_of("{port: , names: , note: }")
    assert (options.port, options.names, options.note) == (1, (), None)


def test_options_may_be_missing_or_empty() -> None:
    for tail in ("", ", options: ", ", options: {}"):
        config = read(f"links: {{x: {{module: 'strangers_components:EchoLink'{tail}}}}}")
        assert cast(Any, config.links["x"].options).port == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{prot: 1}", "links.x.options: unknown option 'prot', did you mean 'port'?"),
        ("{zebra: 1}", "links.x.options: unknown option 'zebra'"),
        ("{api_key:hidden}", "links.x.options.api_key: a blank is missing after the colon"),
        (
            "{target_url: a}",
            "links.x.options: unknown option 'target_url', did you mean 'target-url'?",
        ),
        ("{port: 5432x}", "links.x.options.port: expected int, got str"),
        ("{port: 0}", "links.x.options.port: expected int >= 1"),
        ("{loud: maybe}", "links.x.options.loud: expected bool, got str"),
        ("{mode: medium}", "links.x.options.mode: expected one of 'fast', 'slow'"),
        ("{names: one}", "links.x.options.names: expected list, got str"),
        ("{names: [a, 5]}", "links.x.options.names[1]: expected str, got int: put it in quotes"),
        ("{api_key: 123}", "links.x.options.api_key: expected str, got int: put it in quotes"),
        ("{API_KEY: 123}", "links.x.options.API_KEY: expected str, got int: put it in quotes"),
        ("{keys: [a, [b]]}", "links.x.options.keys[1]: expected str, got list"),
        (
            "{login: {pasword: x}}",
            "links.x.options.login: unknown option 'pasword', did you mean 'password'?",
        ),
        (
            '{login: {"password:hidden": x}}',
            "links.x.options.login.password: a blank is missing after the colon",
        ),
        (
            "{login: {password: 5}}",
            "links.x.options.login.password: expected str, got int: put it in quotes",
        ),
        (
            "{api_key: a, API_KEY: b}",
            "links.x.options.API_KEY: option 'api_key' is given twice, as 'api_key' and 'API_KEY'",
        ),
        ("{names: ['http://u:QA/p@h/']}", f"links.x.options.names[0]: {NO_PORT}"),
        ("{headers: {a: 'HTTP://u:${Q/p@h'}}", f"links.x.options.headers.a: {NO_PORT}"),
        ("{headers: {a: 'HTTP://u:$Q?p@h'}}", f"links.x.options.headers.a: {NO_PORT}"),
        ("{headers: {a: 'HTTP://u:{Q#p@h'}}", f"links.x.options.headers.a: {NO_PORT}"),
        ("{loud: 1}", "links.x.options: loud needs mode fast"),
        ("[a]", "links.x.options: expected mapping, got list"),
    ],
)
def test_a_wrong_option_says_where_and_what(options: str, message: str) -> None:
    assert problems(LINK.format(options=options)) == [message]


@pytest.mark.parametrize(
    "text",
    [
        "http://x:abc",
        "http://crm:see notes",
        "http://h:80{x}",
        "http://h:{port}/@me",
        "http://h:80/@me",
    ],
)
def test_what_is_no_password_is_left_alone(text: str) -> None:
    assert options_of(f"{{names: ['{text}']}}").names == (text,)


def test_all_wrong_options_are_listed() -> None:
    found = problems(LINK.format(options="{port: a, loud: b, names: c, zebra: d}"))
    assert len(found) == 4


def test_a_required_option() -> None:
    assert problems("links: {x: {module: 'strangers_components:NeedyLink'}}") == [
        "links.x.options.question: is required"
    ]


def test_no_message_quotes_a_value() -> None:
    text = LINK.format(
        options="{port: hunter2, api_key: [hunter2], mode: hunter2, headers: hunter2,"
        " keys: {hunter2: 1}, loud: hunter2}"
    )
    assert not [line for line in problems(text) if "hunter2" in line]
