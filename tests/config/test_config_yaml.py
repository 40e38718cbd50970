"""Reading YAML: one meaning, and every mistake with its place."""

import pytest

from vconflow.config.yaml_source import read_yaml
from vconflow.errors import ConfigError


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text)
    return [str(problem) for problem in caught.value.problems]


def test_keys_are_text_as_written() -> None:
    assert read_yaml("on: 1\n404: 2\n~: 3\n1.10: 4") == {"on": 1, "404": 2, "~": 3, "1.10": 4}


def test_dates_stay_text_and_octal_numbers_are_numbers() -> None:
    assert read_yaml("a: 2024-01-31\nb: 0o644\nc: yes\nd: 0x10") == {
        "a": "2024-01-31",
        "b": 0o644,
        "c": True,
        "d": 16,
    }


def test_nothing_is_an_empty_document() -> None:
    assert read_yaml("# only a comment\n") == {}


def test_merge_keys_give_defaults_that_own_keys_replace() -> None:
    text = "base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nyours: {<<: *base}"
    assert read_yaml(text)["mine"] == {"a": 1, "b": 3}
    assert read_yaml(text)["yours"] == {"a": 1, "b": 2}


def test_every_double_key_is_named_with_its_lines() -> None:
    text = "links: 1\nchains:\n  main:\n    links: []\n    links: [a]\nlinks: 2\n"
    assert complaints(text) == [
        "chains.main.links: is given twice, in lines 4 and 5",
        "links: is given twice, in lines 1 and 6",
    ]


def test_an_anchor_used_twice_is_checked_once() -> None:
    assert complaints("a: &x {k: 1, k: 2}\nb: *x\n") == ["a.k: is given twice, in lines 1 and 1"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1,\n  2", "line 2, column 4"),
        ("a: b: c", "line 1, column 5"),
        ("a: *nowhere", "line 1, column 4: unknown alias"),
        ("a: !!python/object:os.system {}", "line 1, column 4: unknown tag"),
        ("a: 1\n---\nb: 2", "line 2, column 1"),
        ("a: \x07", "position 3 is not allowed"),
        ("? [a]\n: 1", "line 1: a key must be a plain name"),
        ("a: &a [*a]", "a[0]: an anchor contains itself"),
        ("a: " + "[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_not_yaml_says_where(text: str, part: str) -> None:
    assert part in complaints(text)[0]


@pytest.mark.parametrize("text", ["!hidden", "!hidden word", "*hidden", "!hid!den", "!<hidden> x"])
def test_a_password_without_quotes_is_not_quoted_by_the_error(text: str) -> None:
    what = "tag" if text[0] == "!" else "alias"
    assert complaints(f"a: 1\nb: {text}") == [
        f"not YAML: line 2, column 4: unknown {what}: a text that begins with {text[0]} must be in "
        "quotes"
    ]
