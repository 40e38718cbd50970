"""The routes about the process itself."""

from collections.abc import Mapping
from typing import Any, Final

from vconflow.api import docs, status, system
from vconflow.api.answers import Health, Readiness, Version
from vconflow.api.call import Handler
from vconflow.api.openapi.lists import COUNT
from vconflow.api.openapi.operation import Answer, Operation, Parameter, text
from vconflow.api.openapi.vcons import ETAG, IF_NONE_MATCH

__all__ = ["OPERATIONS"]

_KNOWN = Answer(304, "You have it already.", headers=(ETAG,))
_PAGE = Operation(
    parameters=(IF_NONE_MATCH,),
    answers=(Answer(200, "The page.", str, (ETAG,), media_type="text/html"), _KNOWN),
)
_ASSET = Operation(
    parameters=(Parameter("asset", text(), "The name of a file.", "path", True), IF_NONE_MATCH),
    answers=(Answer(200, "The file.", str, (ETAG,), media_type="*/*"), _KNOWN),
    errors=(404,),
)

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    system.version: Operation(answers=(Answer(200, "The build.", Version),)),
    system.health: Operation(answers=(Answer(200, "It is alive.", Health),)),
    system.ready: Operation(
        answers=(
            Answer(200, "Traffic may come.", Readiness),
            Answer(503, "It may not.", Readiness),
        ),
    ),
    system.metrics: Operation(answers=(Answer(200, "The metrics.", str, media_type="text/plain"),)),
    system.reindex: Operation(answers=(Answer(200, "How many documents there were.", COUNT),)),
    docs.description: Operation(
        parameters=(IF_NONE_MATCH,),
        answers=(Answer(200, "This document.", dict[str, Any], (ETAG,)), _KNOWN),
    ),
    docs.page: _PAGE,
    docs.asset: _ASSET,
    status.page: _PAGE,
    status.asset: _ASSET,
}
