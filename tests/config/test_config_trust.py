"""What a document may refer to that did not come from the configuration file."""

import sys
from typing import Any

import pytest

from vconflow.config import Allowances, build
from vconflow.errors import ConfigError, Problem

FILE: dict[str, Any] = {
    "links": {
        "own": {"module": "strangers_components:EchoLink", "pip_name": "strangers"},
        "later": {"module": "their_package.link"},
        "by-name": {"module": "${MODULE}"},
        "uses": {"module": "links.tag", "options": {"tags": ["${USED}", "$${ESCAPED}"]}},
    },
    "imports": {
        "theirs": "their_helpers",
        "packed": {"module": "p", "pip_name": "git+https://t@h"},
    },
}
ENV = {"MODULE": "strangers_other:Link", "USED": "used-value", "UNUSED": "unused-value"}


def refused(document: Any) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        build(document, ENV, Allowances.of(FILE, ENV))
    return list(caught.value.problems)


def link(**keys: Any) -> dict[str, Any]:
    return {"links": {"x": keys}}


def kinds(document: Any) -> list[tuple[str, str]]:
    return [(problem.place, problem.type) for problem in refused(document)]


def test_what_the_file_names_may_be_used() -> None:
    document = {
        "links": {
            "other": {"module": "strangers_components:EchoLink", "pip_name": "strangers"},
            "later": {"module": "their_package.link"},
            "built-in": {"module": "links.tag", "options": {"tags": ["x-${USED}"]}},
            "not-built": {"module": "links.deepgram"},
        },
        "storages": {"files": {"module": "storages.file"}},
        "imports": {"a": "their_helpers", "b": {"module": "p", "pip_name": "git+https://t@h"}},
    }
    config = build(document, ENV, Allowances.of(FILE, ENV))
    assert getattr(config.links["built-in"].options, "tags", None) == ("x-used-value",)


@pytest.mark.parametrize("module", ["strangers_effect:Link", "another_package.link", "${USED}"])
def test_other_modules_are_refused_before_they_are_imported(module: str) -> None:
    assert kinds(link(module=module)) == [("links.x.module", "untrusted_module")]
    assert "strangers_effect" not in sys.modules


def test_a_slip_of_a_built_in_name_is_told_as_such() -> None:
    problem = refused(link(module="links.tagg"))[0]
    assert problem.message == "unknown module 'links.tagg', did you mean 'links.tag'?"


def test_other_packages_and_imports_are_refused_and_not_quoted() -> None:
    document = {
        **link(module="links.tag", options={"tags": []}, pip_name="git+https://token@evil"),
        "imports": {"a": "os", "b": {"module": "p", "pip_name": "evil"}},
    }
    problems = refused(document)
    assert [(problem.place, problem.type) for problem in problems] == [
        ("links.x.pip_name", "untrusted_package"),
        ("imports.b.pip_name", "untrusted_package"),
        ("imports.a", "untrusted_module"),
    ]
    assert "token" not in str(problems)


@pytest.mark.parametrize("name", ["UNUSED", "ESCAPED", "NOT_SET"])
@pytest.mark.parametrize("text", ["${%s}", "${%s:-default}", "a${%s}b"])
def test_other_variables_are_not_read(name: str, text: str) -> None:
    """The answer is the same for one that is set and for one that is not."""
    document = link(module="links.tag", options={"tags": [text % name]})
    problem = refused(document)[0]
    assert problem.place == "links.x.options.tags[0]"
    assert problem.message.startswith(f"{name} is no variable that")
    names = {"chains": {"c": {"links": [text % name], "ingress_lists": ["i"]}}}
    assert "unused-value" not in str(refused(names))


def test_values_of_variables_are_not_quoted_in_errors() -> None:
    document = {"chains": {"c": {"links": ["${USED}"], "ingress_lists": ["i"]}}}
    problem = refused(document)[0]
    assert problem.message == "unknown link '${USED}'"


@pytest.mark.parametrize(
    "document",
    [{"x": 2**70}, {"x": float("inf")}, {"x": "\ud800"}, [], None],
)
def test_what_json_cannot_carry_is_refused(document: Any) -> None:
    assert refused(document)


def test_what_is_nested_too_deeply_is_refused() -> None:
    document: Any = "x"
    for _ in range(20_000):
        document = {"x": document}
    (problem,) = refused(document)
    assert problem.type == "too_deep"
    while isinstance(document, dict):
        document = document.pop("x")
