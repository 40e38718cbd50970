"""What a document may refer to that did not come from the configuration file."""

import sys
from pathlib import Path
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
        "hook": {
            "module": "links.webhook",
            "options": {
                "webhook-urls": ["https://ours.example"],
                "headers": {"Authorization": "Bearer ${TOKEN}"},
            },
        },
    },
    "api_keys": {"viewer": {"key": "${VIEWER_KEY}", "role": "read"}},
    "chains": {"c": {"links": ["${USED}"], "ingress_lists": ["i"]}},
    "followers": {"up": {"url": "https://up.example", "auth_token": "${TOKEN}"}},
    "imports": {
        "theirs": "their_helpers",
        "packed": {"module": "p", "pip_name": "git+https://t@h"},
    },
}
ENV = {
    "MODULE": "strangers_other:Link",
    "USED": "used-value",
    "UNUSED": "unused-value",
    "TOKEN": "token-value",
    "VIEWER_KEY": "viewer-value",
}


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
            "uses": {"module": "links.tag", "options": {"tags": ["first", "x-${USED}"]}},
            "not-built": {"module": "links.scitt"},
        },
        "storages": {"files": {"module": "storages.file"}},
        "imports": {"a": "their_helpers", "b": {"module": "p", "pip_name": "git+https://t@h"}},
    }
    config = build(document, ENV, Allowances.of(FILE, ENV))
    assert getattr(config.links["uses"].options, "tags", None) == ("first", "x-used-value")


def hook(headers: dict[str, str], *urls: str, **more: Any) -> dict[str, Any]:
    options = {"webhook-urls": list(urls or ["https://ours.example"]), "headers": headers}
    return {"links": {"hook": {"module": "links.webhook", "options": options, **more}}}


@pytest.mark.parametrize(
    "document",
    [
        hook({"Authorization": "Basic ${TOKEN}"}, timeout=7),
        {"api_keys": {"renamed": {"key": "${VIEWER_KEY}", "role": "admin"}}},
        {"ingress_auth": {"inbox": [{"name": "acme", "key": "${VIEWER_KEY}"}]}},
        {"ingress_auth": {"inbox": "${VIEWER_KEY}"}},
    ],
)
def test_a_variable_may_be_used_where_the_file_uses_it(document: dict[str, Any]) -> None:
    build(document, ENV, Allowances.of(FILE, ENV))


CHAIN = {"links": [], "ingress_lists": ["in"]}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"chains": {"c": {**CHAIN, "egress_lists": ["${TOKEN}"]}}}, "chains.c.egress_lists[0]"),
        ({"chains": {"c": {**CHAIN, "x": "${TOKEN:-x}"}}}, "chains.c.x"),
        (hook({"X-Other": "${TOKEN}"}), "links.hook.options.headers.X-Other"),
        (hook({"Authorization": "${USED}"}), "links.hook.options.headers.Authorization"),
        (hook({}, "https://ours.example/${TOKEN}"), "links.hook.options.webhook-urls[0]"),
        ({"links": {"uses": {"module": "links.tag", "options": {"tags": ["${TOKEN}"]}}}},
         "links.uses.options.tags[0]"),
        ({"links": {"renamed": hook({"Authorization": "${TOKEN}"})["links"]["hook"]}},
         "links.renamed.options.headers.Authorization"),
        ({"api_keys": {"viewer": {"key": "k", "role": "${VIEWER_KEY}"}}}, "api_keys.viewer.role"),
        ({"ingress_auth": {"in": {"name": "${VIEWER_KEY}", "key": "k"}}}, "ingress_auth.in.name"),
        ({"api_keys": {"viewer": {"key": "${TOKEN}", "role": "read"}}}, "api_keys.viewer.key"),
    ],
)  # fmt: skip
def test_a_variable_is_not_read_where_the_file_does_not_use_it(
    document: dict[str, Any], place: str
) -> None:
    """There it could be read back, by the name of a list or a tag, or be sent elsewhere."""
    problems = refused(document)
    assert (problems[0].place, problems[0].type) == (place, "untrusted_variable")
    assert problems[0].message.startswith("this server's configuration file does not refer to")
    assert "value" not in str(problems)


@pytest.mark.parametrize(
    "document",
    [
        hook({"Authorization": "Bearer ${TOKEN}"}, "https://evil.example"),
        hook({"Authorization": "Bearer ${TOKEN}"}, "https://ours.example", "https://evil.example"),
        {"followers": {"up": {"url": "https://evil.example", "auth_token": "${TOKEN}"}}},
    ],
)
def test_a_variable_is_not_sent_where_the_file_does_not_send_it(document: dict[str, Any]) -> None:
    problem = refused(document)[0]
    assert problem.type == "untrusted_variable"
    assert problem.message.startswith("where this goes to has changed")


@pytest.mark.parametrize(
    ("path", "is_allowed"),
    [
        ("", True), ("data", True), ("data/files/x", True), ("named", True), ("named/x", True),
        ("link-inside", True),
        ("elsewhere", False), (".", False), ("data/../elsewhere", False), ("named-too", False),
        ("data/link-outside/x", False), ("\0", False), ("~nobody-has-this-name", False),
    ],
)  # fmt: skip
def test_files_are_written_below_the_data_folder_and_what_the_file_names(
    path: str, is_allowed: bool, tmp_path: Path
) -> None:
    for folder in ("data", "named", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data/link-outside").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link-inside").symlink_to(tmp_path / "named")
    folders = [tmp_path / "data", tmp_path / "named"]
    given = path if path in {"", "\0"} or path[0] == "~" else str(tmp_path / path)
    for section, entry in (
        ("storages", {"module": "storage.file", "options": {"path": given}}),
        ("links", {"module": "links.verify", "options": {"trusted": given}}),
    ):
        document = {section: {"x": entry}}
        if is_allowed:
            build(document, ENV, Allowances.of(FILE, ENV, folders))
            continue
        with pytest.raises(ConfigError) as caught:
            build(document, ENV, Allowances.of(FILE, ENV, folders))
        assert [problem.type for problem in caught.value.problems] == ["untrusted_path"]


@pytest.mark.parametrize(
    ("uri", "is_allowed"),
    [("data/v.db", True), ("https://milvus:19530", True), ("", True), ("elsewhere/v.db", False)],
)
def test_a_url_is_no_file(uri: str, is_allowed: bool, tmp_path: Path) -> None:
    given = str(tmp_path / uri) if uri.endswith(".db") else uri
    document = {"storages": {"x": {"module": "storage.milvus", "options": {"uri": given}}}}
    allowances = Allowances.of(FILE, ENV, [tmp_path / "data"])
    if is_allowed:
        build(document, ENV, allowances)
        return
    with pytest.raises(ConfigError) as caught:
        build(document, ENV, allowances)
    assert [problem.place for problem in caught.value.problems] == ["storages.x.options.uri"]


@pytest.mark.parametrize("module", ["strangers_effect:Link", "another_package.link"])
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


def test_options_of_modules_of_the_contract_are_those_of_the_file() -> None:
    """Whatever they name, a file, a host or a program, nobody but the module knows."""
    file = {"links": {"x": {"module": "strangers_module", "options": {"path": "${USED}"}}}}
    allowed = Allowances.of(file, ENV)
    build(file, ENV, allowed)
    for options in ({"path": "/etc"}, {}, {"path": "${USED}", "more": 1}):
        document = link(module="strangers_module", options=options)
        with pytest.raises(ConfigError) as caught:
            build(document, ENV, allowed)
        problem = caught.value.problems[-1]
        assert (problem.place, problem.type) == ("links.x.options", "untrusted_options")


def test_nothing_is_imported_that_the_file_does_not_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "strangers_module", raising=False)
    assert kinds({"imports": {"x": "strangers_module"}}) == [("imports.x", "untrusted_module")]
    assert kinds(link(module="strangers_module")) == [("links.x.module", "untrusted_module")]
    assert "strangers_module" not in sys.modules
