"""The description of the API, OpenAPI 3.1, made from the route table and the types.

To document a route, add its handler to the table of its subject (`vcons.py`, `lists.py`,
`dead_letters.py`, `chains.py`, `system.py`), with what it reads and what it answers:

    chains.pause: Operation(
        parameters=(CHAIN,), answers=(Answer(204, "The chain is paused."),), errors=(404,)
    )

Summary and description are the first line and the rest of the handler's docstring; types become
schemas (`Answer(200, "The chains.", list[Chain])`); what every route of a kind may answer (403,
503, …) is added by `document.py`. A test fails for a route without an entry.
"""

from vconflow.api.openapi.document import describe
from vconflow.api.openapi.operation import Answer, Body, Header, Operation, Parameter

__all__ = ["Answer", "Body", "Header", "Operation", "Parameter", "describe"]
