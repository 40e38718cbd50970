"""What a PromQL expression names: metrics, labels, values of labels."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_SELECTOR = re.compile(r'\b([a-zA-Z_:][\w:]*)\s*\{((?:[^{}"]|"[^"]*")*)\}')
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_METRIC = re.compile(r"\b(?:vconflow_\w+|up)\b")


class Matcher(NamedTuple):
    metric: str
    label: str
    operator: str
    value: str


def metrics_in(expression: str) -> set[str]:
    """The names of metrics; `up` and those of vconflow are all that there can be."""
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', expression)))


def matchers_in(expression: str) -> Iterator[Matcher]:
    """What stands in the braces after a metric."""
    for metric, inside in _SELECTOR.findall(expression):
        for found in _MATCHER.findall(inside):
            yield Matcher(metric, *found)


def labels_grouped_by(expression: str) -> set[str]:
    """The labels of by, on, group_left and the like."""
    inside = ",".join(_CLAUSE.findall(re.sub(r'"[^"]*"', '""', expression)))
    return {name.strip() for name in inside.split(",") if name.strip()}
