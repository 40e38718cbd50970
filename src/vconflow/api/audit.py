"""What the audit log is told about a request."""

import re
from typing import NamedTuple

from vconflow.api.call import Call
from vconflow.api.gate import client_of
from vconflow.api.routing import Auth, Route
from vconflow.telemetry.audit import AuditEvent, AuditLog, Level

__all__ = ["TARGET", "Target", "audit"]

TARGET = "vconflow.target"
"""Where in the scope the `Target` of a request stands, once it is known."""

_LEVELS = {
    Auth.READ: Level.ALL,
    Auth.WRITE: Level.CHANGES,
    Auth.PARTNER: Level.CHANGES,
    Auth.ADMIN: Level.ADMIN,
    Auth.STATS: Level.ALL,
    Auth.NONE: None,
}
# What callers put into a path is shown only if it can be nothing but a name.
_NAME = re.compile(r"[\w.:~%@-]{1,128}")


class Target(NamedTuple):
    """What a request is aimed at."""

    route: Route
    call: Call


def audit(log: AuditLog, target: Target, status: int, request_id: bytes) -> None:
    """Tell the log about a request that is over, if it wants to know."""
    route, call = target
    level = _LEVELS[route.auth]
    if level is None or not log.wants(level, status):
        return
    role = call.caller.role
    about = {name: text for name, text in call.path.items() if _NAME.fullmatch(text)}
    log.add(
        AuditEvent(
            time=log.now(),
            action=f"{call.scope['method']} {route.path}",
            status=status,
            key=call.caller.name,
            role=role.name.lower() if role else "",
            client=client_of(call.scope),
            request_id=request_id.decode("latin-1"),
            about={**about, **call.noted},
        )
    )
