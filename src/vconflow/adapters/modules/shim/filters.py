"""`lib.links.filters`: which vCons a link is for."""

import json
import random
from collections.abc import Mapping
from typing import Any

__all__ = ["is_included", "randomly_execute_with_sampling"]


def is_included(options: Mapping[str, Any] | None, _vcon: Any) -> bool:
    """Whether `only_if` fits: an item of that section and type (or purpose) has the text."""
    wanted = (options or {}).get("only_if")
    if not wanted:
        return True
    kind = wanted.get("purpose") or wanted.get("type")
    return any(
        wanted["includes"] in _searched(item)
        for item in getattr(_vcon, wanted["section"], None) or ()
        if kind in (item.get("type"), item.get("purpose"))
    )


def randomly_execute_with_sampling(options: Mapping[str, Any]) -> bool:
    """Whether this one is of the sample; without `sampling_rate` all are."""
    rate = options.get("sampling_rate")
    return not rate or random.random() < rate


def _searched(item: Mapping[str, Any]) -> Any:
    body = item.get("body")
    if isinstance(body, list):
        return body
    return body if isinstance(body, str) else json.dumps(body)
