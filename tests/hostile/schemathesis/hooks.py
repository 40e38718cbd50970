"""What JSON Schema cannot say of valid requests, put right before they are sent.

Loaded by schemathesis in a process of its own. Requests that are invalid on purpose stay as they
are.
"""

from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

# As the server itself gives it: the end of the list `inbox`.
CURSOR = "WyJpbmJveCJd"
INDICES = {"dialog": ("parties",), "analysis": ("dialog",)}
CONDITIONS = ("list", "chain", "stage", "error")
SEARCH = ("tel", "mailto", "name")


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(case.body, dict) and "created_at" in case.body:
        drop_indices(case.body)
    if case.operation.label == "PUT /vcon/{vcon_uuid}" and isinstance(case.body, dict):
        # The body repeats the uuid of the address.
        case.body["uuid"] = case.path_parameters["vcon_uuid"]
    if case.operation.label == "GET /vcons/search" and not set(case.query) & set(SEARCH):
        # At least one term must be there.
        case.query["name"] = "Ann"
    if case.operation.label == "DELETE /dead-letters" and not set(case.query) & set(CONDITIONS):
        # Without a condition it must be said that all are meant.
        case.query["all"] = "true"
    # A cursor is opaque: only the server can make one.
    for holder in (case.query, case.body):
        if isinstance(holder, dict) and "cursor" in holder:
            holder["cursor"] = CURSOR


def drop_indices(vcon: dict[str, Any]) -> None:
    """Take out the indices of the example when the arrays they point into were taken away."""
    if all(vcon.get(array) for array in ("parties", "dialog")) and len(vcon["parties"]) > 1:
        return
    for array, names in INDICES.items():
        for item in vcon.get(array) or ():
            for name in names:
                item.pop(name, None)
