"""What `get` of a storage of the reference's contract returns."""

from vconflow.errors import InvalidVcon, Permanent
from vconflow.model.rawjson import encode
from vconflow.model.validation import validate

__all__ = ["document_of"]


def document_of(returned: object, uuid: str) -> bytes | None:
    """The vCon that was returned as a dict, as JSON or as an object with `to_dict`; None for none.

    Raises Permanent for anything else, and for another vCon.
    """
    if returned is None or returned == {} or returned == "":
        return None
    document = _bytes_of(returned)
    try:
        if validate(document).uuid == uuid:
            return document
    except InvalidVcon as error:
        raise Permanent(f"what get() returned is no vCon: {error}") from error
    raise Permanent("get() returned another vCon than it was asked for")


def _bytes_of(returned: object) -> bytes:
    if isinstance(returned, bytes):
        return returned
    if isinstance(returned, str):
        return returned.encode()
    given = returned.to_dict() if hasattr(returned, "to_dict") else returned
    try:
        return encode(given)
    except (TypeError, ValueError) as error:
        raise Permanent(f"get() returned {type(given).__name__}, which is no vCon") from error
