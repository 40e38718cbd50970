"""The routes of the configuration and its versions."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from vconflow.api import config
from vconflow.api.answers import ConfigVersionSummary
from vconflow.api.call import Handler
from vconflow.api.openapi.operation import JSON, Answer, Body, Header, Operation, Parameter
from vconflow.api.openapi.vcons import IF_MATCH

__all__ = ["OPERATIONS"]

_ETAG = Header("ETag", "Names the version, for `If-Match`.")
_VERSION = Parameter(
    "version", Annotated[int, Meta(ge=1, lt=10**15)], "The number of a version.", "path", True
)
_COMMENT = Parameter(
    "comment", Annotated[str, Meta(max_length=500)], "Why, for those who read the versions."
)
_CHANGED = Answer(204, "It is in force; other replicas follow.", headers=(_ETAG,))
_MASKED = "The configuration, with every secret masked."

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    config.read: Operation(answers=(Answer(200, _MASKED, dict[str, Any], (_ETAG,)),)),
    config.replace: Operation(
        parameters=(IF_MATCH, _COMMENT),
        body=Body(
            {JSON: {"type": "object"}},
            "The whole configuration. A masked secret keeps the one that is stored, so that what "
            "GET gave can be edited and sent back.",
        ),
        answers=(_CHANGED,),
        errors=(409, 412, 413, 415, 422),
    ),
    config.versions: Operation(
        answers=(Answer(200, "The versions, newest first.", list[ConfigVersionSummary]),)
    ),
    config.read_version: Operation(
        parameters=(_VERSION,),
        answers=(Answer(200, _MASKED, dict[str, Any], (_ETAG,)),),
        errors=(404,),
    ),
    config.roll_back: Operation(
        parameters=(_VERSION, IF_MATCH, _COMMENT),
        answers=(_CHANGED,),
        errors=(404, 409, 412, 422),
    ),
}
