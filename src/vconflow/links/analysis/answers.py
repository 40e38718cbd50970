"""Answers of a model as the values they stand for: read leniently, but never guessed."""

from typing import Any

from vconflow.errors import InvalidVcon, Retryable
from vconflow.model.rawjson import decode_plain

__all__ = ["json_object", "labels_of", "truth", "truth_of", "words"]

_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}

# What models put around a word: quotes, stars, a full stop.
_AROUND = " \t\r\n.!,;:\"'`*_"


def words(answer: str) -> str:
    """Any answer in words. Raises Retryable for an empty one."""
    if not answer.strip():
        raise Retryable("the model answered nothing")
    return answer


def json_object(answer: str) -> dict[str, Any]:
    """The JSON object in an answer, also between words or in a code fence. Raises Retryable."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        found = decode_plain(answer[start : end + 1].encode())
    except InvalidVcon:
        found = None
    if start < 0 or not isinstance(found, dict):
        raise Retryable("the model's answer is no JSON object")
    return found


def truth(answer: str) -> bool:
    """Yes or no, true or false, in any case. Raises Retryable for anything else."""
    found = _TRUTHS.get(answer.strip(_AROUND).lower())
    if found is None:
        raise Retryable("the model's answer is neither true nor false")
    return found


def truth_of(answer: str, key: str) -> bool:
    """The truth of a member of the JSON object in an answer. Raises Retryable."""
    value = json_object(answer).get(key)
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise Retryable(f"the model's answer has no {key!r} that is true or false")
    return truth(value)


def labels_of(found: dict[str, Any]) -> list[str]:
    """The member `labels` of an answer, each once, without empty ones. Raises Retryable."""
    labels = found.get("labels")
    if not isinstance(labels, list) or not all(
        isinstance(one, str | int | float) for one in labels
    ):
        raise Retryable("the model's answer has no 'labels' that is a list of texts")
    cleaned = (" ".join(str(label).split()) for label in labels)
    return list(dict.fromkeys(label for label in cleaned if label))
