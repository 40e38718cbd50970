"""Reading YAML so that a file means one thing only.

Keys are always text, as written: `on:` and `404:` are names, not `True` and a number. Dates stay
text. A key given twice is an error, where YAML libraries quietly take the last. `0o644` is an
octal number, as in YAML 1.2.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vconflow.config.findings import Loc
from vconflow.errors import ConfigError, Problem

__all__ = ["read_yaml"]

MERGE = "tag:yaml.org,2002:merge"
KNOWN_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, less the types that JSON does not have."""

    # A class-level override of PyYAML's own tables, which it keys by first character and by tag.
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: build
        for tag, build in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in KNOWN_TAGS
    }

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^0o[0-7]+$"), ["0"])


def read_yaml(text: str) -> Any:
    """Parse one document. Raises ConfigError with line and column, or with every double key."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}
            if problems := list(_KeyCheck().walk(node, ())):
                raise ConfigError(problems)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_error(error)]) from None
    except yaml.reader.ReaderError as error:
        message = f"not YAML: the character at position {error.position} is not allowed"
        raise ConfigError([Problem((), message, "syntax")]) from None
    except RecursionError:
        message = "nested too deeply"
        raise ConfigError([Problem((), message, "syntax")]) from None


_UNQUOTED = {
    "could not determine a constructor for the tag": "unknown tag: a text that begins with !",
    "found undefined tag handle": "unknown tag: a text that begins with !",
    "found undefined alias": "unknown alias: a text that begins with *",
}
"""What PyYAML says, quoting it, of a text that begins with one of its marks: often a password."""


def _syntax_error(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or error.context or ""
    for start, meant in _UNQUOTED.items():
        if problem.startswith(start):
            problem = f"{meant} must be in quotes"
    return Problem((), f"not YAML: {place}{problem}", "syntax")


class _KeyCheck:
    """Walks the nodes of a document once, anchors included."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._above: set[int] = set()

    def walk(self, node: Node, loc: Loc) -> Iterator[Problem]:
        """Yield what is wrong with the keys of a node and of all below it."""
        if id(node) in self._above:
            yield Problem(loc, "an anchor contains itself", "syntax")
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        self._above.add(id(node))
        if isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                yield from self.walk(item, (*loc, index))
        elif isinstance(node, MappingNode):
            yield from self._walk_mapping(node, loc)
        self._above.remove(id(node))

    def _walk_mapping(self, node: MappingNode, loc: Loc) -> Iterator[Problem]:
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                yield Problem(loc, f"line {line}: a key must be a plain name", "syntax")
                continue
            if key.tag != MERGE and key.value in lines:
                message = f"is given twice, in lines {lines[key.value]} and {line}"
                yield Problem((*loc, key.value), message, "duplicate")
            lines[key.value] = line
            yield from self.walk(value, (*loc, key.value))
