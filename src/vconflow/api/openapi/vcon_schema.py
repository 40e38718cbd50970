"""vCons as JSON Schema, made from the types that the server itself decodes them by."""

from collections.abc import Collection
from typing import Annotated, Any, Final

from msgspec import Meta, inspect

from vconflow.model.rules import DIALOG_TYPES
from vconflow.model.schema import Document

__all__ = ["COMPONENTS", "EXAMPLE", "NEW_VCON", "VCON", "Uuid"]

REFS: Final = "#/components/schemas/{name}"
VCON: Final = {"$ref": REFS.format(name="VCon")}
"""What the server hands out."""
NEW_VCON: Final = {"$ref": REFS.format(name="NewVCon")}
"""What it takes: a little less than all that it would take."""
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]

# What these may hold depends on other members, in ways that JSON Schema cannot say.
_CROSS_REFERENCES: Final = {
    "": {"redacted", "amended", "appended", "critical", "must_support"},
    "Dialog": {
        "parties",
        "originator",
        "party_history",
        "recordings",
        "recording_set",
        "transferee",
        "transferor",
        "transfer_target",
        "original",
        "consultation",
        "target_dialog",
        "transfer-target",
        "target-dialog",
    },
    "Analysis": {"dialog", "attachment"},
    "Attachment": {"party", "dialog"},
}
_ARRAYS: Final = {"dialog": "Dialog", "analysis": "Analysis", "attachments": "Attachment"}
_PLAIN: Final[dict[type, dict[str, Any]]] = {
    inspect.StrType: {"type": "string"},
    inspect.IntType: {"type": "integer"},
    inspect.NoneType: {"type": "null"},
}
_ENVELOPES: Final = {"payload", "signatures", "ciphertext", "recipients"}

_VCON_TEXT = """A vCon of any form and version, byte for byte as it was stored.

Members not named here are kept as they are. A signed vCon is a JWS (`payload`, `signatures`), an
encrypted one a JWE (`ciphertext`, `recipients`), both in the General JSON form with the uuid in an
unprotected header."""
_NEW_TEXT = """A vCon to store. All members of `VCon` are taken, and unknown ones are kept.

Here stand those whose rules JSON Schema can say. Of the others: an index (`parties`, `dialog`,
`attachment`, …) must be in range; a vCon is redacted or amended, not both; no extension can be
`critical`; documents that say `"vcon": "0.4.0"` are held to the draft of that version."""

EXAMPLE: Final[dict[str, Any]] = {
    "vcon": "0.0.1",
    "uuid": "018f4f2c-7d3a-8b4e-9c21-5a0f3e6d1b77",
    "created_at": "2024-05-06T07:08:09+00:00",
    "subject": "Order 1234",
    "parties": [
        {"tel": "+15550100", "name": "Ann", "role": "customer"},
        {"mailto": "bob@example.org", "name": "Bob", "role": "agent"},
    ],
    "dialog": [
        {
            "type": "text",
            "start": "2024-05-06T07:08:10+00:00",
            "parties": [0, 1],
            "mediatype": "text/plain",
            "body": "Where is my order?",
            "encoding": "none",
        }
    ],
    "analysis": [
        {"type": "summary", "dialog": 0, "vendor": "example", "body": "An order is missing."}
    ],
    "attachments": [{"type": "tags", "body": ["queue:orders"], "encoding": "json"}],
}


def _components() -> dict[str, Any]:
    made: dict[str, Any] = {}
    _schema(inspect.type_info(Document), made)
    document = made.pop("Document")
    schemas = {"VCon": {**document, "description": _VCON_TEXT}, **made}
    for name in _ARRAYS.values():
        schemas[f"New{name}"] = _without(made[name], _CROSS_REFERENCES[name])
    schemas["NewVCon"] = _new_vcon(document)
    schemas["NewDialog"]["properties"]["type"] = {"enum": sorted(DIALOG_TYPES)}
    schemas["NewDialog"]["required"] = ["type"]
    schemas["NewAnalysis"]["properties"]["type"] = {"type": "string", "minLength": 1}
    schemas["NewAnalysis"]["required"] = ["type"]
    return schemas


def _schema(kind: inspect.Type, made: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; msgspec's own cannot say what the default of a Raw member is."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            if cls.__name__ not in made:
                members = {it.encode_name: _schema(it.type, made) for it in fields}
                made[cls.__name__] = {
                    "type": "object",
                    "description": cls.__doc__,
                    "properties": members,
                }
            return {"$ref": REFS.format(name=cls.__name__)}
        case inspect.UnionType(types=types):
            return {"anyOf": [_schema(it, made) for it in types]}
        case inspect.ListType(item_type=item):
            return {"type": "array", "items": _schema(item, made)}
        case inspect.DictType():
            return {"type": "object"}
        case inspect.FloatType(ge=least):
            return {"type": "number"} if least is None else {"type": "number", "minimum": least}
        case _:
            return dict(_PLAIN.get(type(kind), {}))


def _new_vcon(document: dict[str, Any]) -> dict[str, Any]:
    schema = _without(document, _CROSS_REFERENCES[""] | _ENVELOPES)
    schema["description"] = _NEW_TEXT
    schema["required"] = ["uuid", "created_at"]
    members = schema["properties"]
    members["uuid"] = {"type": "string", "format": "uuid"}
    members["created_at"] = {"type": "string", "format": "date-time"}
    for name, item in _ARRAYS.items():
        items = {"type": "array", "items": {"$ref": REFS.format(name=f"New{item}")}}
        members[name] = {"anyOf": [items, {"type": "null"}]}
    return schema


def _without(schema: dict[str, Any], dropped: Collection[str]) -> dict[str, Any]:
    kept = {name: kind for name, kind in schema["properties"].items() if name not in dropped}
    return {**schema, "properties": kept}


COMPONENTS: Final = _components()
