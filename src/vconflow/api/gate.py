"""The one place that decides whether a request may go on, before any of its body is read."""

import math

from starlette.types import Scope

from vconflow.api.access import Caller
from vconflow.api.auth import Authenticator
from vconflow.api.call import Call
from vconflow.api.failed_logins import FailedLogins
from vconflow.api.rate_limits import Buckets
from vconflow.api.refusals import Forbidden, TooManyRequests
from vconflow.api.routing import Auth
from vconflow.api.services import Services
from vconflow.ports.access import RateLimit, Role

__all__ = ["EXTRA_HEADERS", "Gate", "client_of"]

EXTRA_HEADERS = "vconflow.headers"
"""Where in the scope headers for the answer stand, whatever it will be."""

_LONGEST_ADDRESS = 64
_NEEDED = {Auth.READ: Role.READ, Auth.WRITE: Role.WRITE, Auth.ADMIN: Role.ADMIN}


class Gate:
    """Checks key, role and rate of a request."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self._public = {Auth.NONE, Auth.STATS} if settings.vconflow_public_stats else {Auth.NONE}
        self._keys = Authenticator(
            settings.conserver_header_name,
            settings.conserver_api_token,
            settings.conserver_api_token_file,
            services.access,
        )
        self._failed = FailedLogins(settings.vconflow_failed_logins)
        self._buckets = Buckets()
        rate = settings.vconflow_rate_limit
        burst = settings.vconflow_rate_burst or max(1, round(rate))
        self._rate = RateLimit(rate, burst) if rate else None

    async def admit(self, call: Call, auth: Auth) -> None:
        """Set the caller of a request. Raises Forbidden, TooManyRequests or Unavailable."""
        if auth in self._public:
            return
        if auth is Auth.PARTNER:
            call.caller = self._partner(call)
        else:
            key = self._keys.key_of(call.headers)
            found = await self._keys.find(key)
            call.caller = self._judge(call, key, found, "Invalid API Key")
            _check_role(call.caller, _NEEDED.get(auth, Role.READ))
        rate = call.caller.rate_limit or self._rate
        if rate is not None:
            self._spend(call, rate)

    def _partner(self, call: Call) -> Caller:
        key = self._keys.key_of(call.headers)
        if not key:
            raise Forbidden("API Key required")
        list_name = call.query.required("ingress_list")
        found = self._keys.partner_ring(list_name).find(key)
        return self._judge(call, key, found, f"Invalid API Key for ingress list '{list_name}'")

    def _judge(self, call: Call, key: bytes, found: Caller | None, refusal: str) -> Caller:
        address = client_of(call.scope)
        if found is not None and self._failed.is_proven(address, found.name):
            return found
        wait = self._failed.wait_of(address) if key else 0
        # A right key that is new here is not taken either: the answer would tell a guesser.
        if wait:
            raise TooManyRequests("Too many wrong API keys from this address", wait)
        if found is not None:
            self._failed.succeeded(address, found.name)
            return found
        if key:
            self._failed.failed(address)
        raise Forbidden(refusal)

    def _spend(self, call: Call, rate: RateLimit) -> None:
        verdict = self._buckets.take(call.caller.name, rate)
        call.scope[EXTRA_HEADERS] = [
            (b"x-ratelimit-limit", b"%d" % verdict.limit),
            (b"x-ratelimit-remaining", b"%d" % verdict.remaining),
            (b"x-ratelimit-reset", b"%d" % verdict.reset),
        ]
        if not verdict.allowed:
            seconds = math.ceil(verdict.retry_after)
            message = f"Rate limit exceeded: try again in {max(1, seconds)} s"
            raise TooManyRequests(message, verdict.retry_after)


def client_of(scope: Scope) -> str:
    """The address of the client; a proxy's word for it counts only if the server trusts it."""
    client = scope.get("client")
    # A proxy may pass on what it was sent: that must not be kept and logged at any length.
    return client[0][:_LONGEST_ADDRESS] if client else ""


def _check_role(caller: Caller, needed: Role) -> None:
    if caller.role is None or caller.role < needed:
        has = caller.role.name.lower() if caller.role else "none"
        raise Forbidden(
            f"API key '{caller.name}' has the role '{has}': this needs '{needed.name.lower()}'"
        )
