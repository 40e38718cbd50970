"""Is it a vCon, and what does the index need to know of it?

One typed decode (`reading.py`, `schema.py`) checks the types; then one pass checks what types
cannot say (`crossrefs.py`, `rules.py`). Problems never quote the document.
"""

from itertools import islice
from typing import Literal

import msgspec

from vconflow.errors import InvalidVcon, Problem
from vconflow.model.crossrefs import check_references
from vconflow.model.dates import instant
from vconflow.model.envelope import MAX_PAYLOAD, form_of, outer_uuid
from vconflow.model.identifiers import canonical_uuid, uuid_time
from vconflow.model.reading import read_document, read_struct, require_uuid_once
from vconflow.model.schema import Document, Party, Reference

__all__ = ["Facts", "validate", "without_scheme"]


MAX_PROBLEMS = 100
"""So many are listed; a hostile document could have millions."""

MAX_TERMS = 1_000
"""So many of each kind are indexed: each is a key, written while Redis does nothing else."""
LONGEST_TERM = 1_024
"""Characters of a term that is indexed."""

_EMPTY = (b"null", b'""')


class Facts(msgspec.Struct, frozen=True):
    """What the index knows of a vCon.

    `uuid` is canonical; `created_at` is Unix seconds, of a signed or encrypted one what its uuid
    tells of it, else 0.0; `version` is the `vcon` member. The search terms are those of the
    parties, each once, none empty, without `tel:` and `mailto:`, at most `MAX_TERMS` of each kind
    and none over `LONGEST_TERM`; a signed or encrypted vCon has none, since nobody vouches for them
    yet.
    """

    uuid: str
    created_at: float
    version: str | None
    form: Literal["unsigned", "signed", "encrypted"]
    tels: tuple[str, ...] = ()
    mailtos: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def validate(document: bytes, *, unpack: int = MAX_PAYLOAD) -> Facts:
    """Check a document and return its facts.

    Raises InvalidVcon with all problems found, up to `MAX_PROBLEMS`; only broken JSON ends the
    search at once. `unpack` is how many bytes a signed payload may have once it is unpacked, where
    that is needed.
    """
    read, problems = read_document(document)
    form = form_of(read)
    require_uuid_once(document)
    if form != "unsigned":
        uuid = outer_uuid(document, form, unpack)
        return Facts(uuid, uuid_time(uuid) or 0.0, read.vcon, form)
    wrong_type = {problem.loc[0] for problem in problems} if problems else ()
    uuid = _uuid(read, problems) if "uuid" not in wrong_type else ""
    created_at = _created_at(read, uuid, problems) if "created_at" not in wrong_type else 0.0
    _check_extensions(read, problems)
    if read.redacted or read.amended or read.appended:
        _check_references_to_others(read, problems)
    check_references(read, document, problems)
    if problems:
        raise InvalidVcon(problems[:MAX_PROBLEMS])
    tels, mailtos, names = _search_terms(read.parties or ())
    return Facts(uuid, created_at, read.vcon, form, tels, mailtos, names)


def _uuid(read: Document, problems: list[Problem]) -> str:
    if read.uuid is None:
        problems.append(Problem(("uuid",), "a vCon needs a uuid", "missing"))
        return ""
    try:
        return canonical_uuid(read.uuid)
    except ValueError:
        problems.append(Problem(("uuid",), "not a UUID", "bad_uuid"))
        return ""


def _created_at(read: Document, uuid: str, problems: list[Problem]) -> float:
    if read.created_at is None:
        # The draft's own examples have neither `vcon` nor `created_at`; their uuid knows when.
        carried = uuid_time(uuid) if uuid and read.vcon is None else None
        if carried is None:
            problems.append(Problem(("created_at",), "a vCon needs created_at", "missing"))
        return carried or 0.0
    try:
        return instant(read.created_at)
    except ValueError as error:
        problems.append(Problem(("created_at",), str(error), "bad_date"))
        return 0.0


def _check_extensions(read: Document, problems: list[Problem]) -> None:
    if not (read.critical or read.must_support):
        return
    for name in ("critical", "must_support"):
        named: list[str] | None = getattr(read, name)
        for number in range(len(named or ())):
            message = "vconflow supports no extension yet, so none can be critical"
            problems.append(Problem((name, number), message, "unsupported_extension"))


def _check_references_to_others(read: Document, problems: list[Problem]) -> None:
    if read.redacted and (read.amended or read.appended):
        message = "a vCon is either redacted or amended, not both"
        problems.append(Problem(("redacted",), message, "conflict"))
    for name in ("redacted", "amended", "appended"):
        members = getattr(read, name)
        if not members or all(bytes(raw) in _EMPTY for raw in members.values()):
            continue
        other = read_struct(members, Reference, (name,), problems)
        if name == "redacted" and not other.type and not _is_wrong((name, "type"), problems):
            problems.append(Problem((name, "type"), "say what was redacted", "missing"))
        if name != "redacted" and not other.uuid and not other.url:
            problems.append(Problem((name, "uuid"), "needs a uuid or a url", "missing"))
        if other.url and not other.content_hash and not other.signature:
            problems.append(Problem((name, "content_hash"), "url needs content_hash", "missing"))
        if other.uuid:
            try:
                canonical_uuid(other.uuid)
            except ValueError:
                problems.append(Problem((name, "uuid"), "not a UUID", "bad_uuid"))


def _is_wrong(loc: tuple[str, ...], problems: list[Problem]) -> bool:
    return any(problem.loc == loc for problem in problems)


def _search_terms(
    parties: "list[Party] | tuple[()]",
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    tels: dict[str, None] = {}
    mailtos: dict[str, None] = {}
    names: dict[str, None] = {}
    for party in parties:
        tel = party.tel
        if tel is not None and tel != "" and (text := without_scheme(str(tel), "tel:")):
            tels[text] = None
        if party.mailto and (text := without_scheme(party.mailto, "mailto:")):
            mailtos[text] = None
        if party.name:
            names[party.name] = None
    return _indexed(tels), _indexed(mailtos), _indexed(names)


def _indexed(terms: dict[str, None]) -> tuple[str, ...]:
    if not terms or (len(terms) <= MAX_TERMS and max(map(len, terms)) <= LONGEST_TERM):
        return tuple(terms)
    return tuple(islice((term for term in terms if len(term) <= LONGEST_TERM), MAX_TERMS))


def without_scheme(text: str, scheme: str) -> str:
    """Return the text without `tel:` or `mailto:`, in any case: so the index knows it."""
    return text[len(scheme) :] if text[: len(scheme)].lower() == scheme else text
