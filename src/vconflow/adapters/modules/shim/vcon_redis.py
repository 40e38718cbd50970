"""`lib.vcon_redis`: vCons by uuid.

The vCon of the call is the one in memory, whatever Redis has; the engine commits what is stored
of it. Others are read from and stored in the server, at once.
"""

import importlib
from typing import Any, ClassVar

from vconflow.adapters.modules.call import current

__all__ = ["VconRedis"]


class VconRedis:
    """Holds nothing: each method works on the call that its thread is in.

    A vCon object is `vcon.Vcon`: of the package `vcon` when that is installed, else of ours.
    """

    DEFAULT_TTL: ClassVar[int] = 3600

    def get_vcon(self, vcon_id: str) -> Any:
        """The vCon as an object of its own, None when there is none."""
        found = current().read(vcon_id)
        return None if found is None else importlib.import_module("vcon").Vcon(found)

    def get_vcon_dict(self, vcon_id: str) -> dict[str, Any] | None:
        """The vCon as a dict of its own, None when there is none."""
        return current().read(vcon_id)

    def store_vcon(self, vCon: Any, ttl: int | None = None) -> None:  # noqa: N803  # by contract
        """Store a vCon object; `ttl` in seconds as in `set_expiry`."""
        self.store_vcon_dict(vCon.to_dict(), ttl)

    def store_vcon_dict(self, vcon_dict: dict[str, Any], ttl: int | None = None) -> None:
        """Store a vCon. Raises Permanent when it is none."""
        current().write(vcon_dict)
        if ttl is not None:
            self.set_expiry(vcon_dict["uuid"], ttl)

    def set_expiry(self, vcon_id: str, ttl: int) -> bool:
        """Let the vCon of the call leave Redis so long after its chain; False for any other."""
        return current().expire(vcon_id, ttl)

    def get_ttl(self, vcon_id: str) -> int:
        """Seconds that were asked for in this call, -1 if none were, -2 without such a vCon."""
        call = current()
        if call.read(vcon_id) is None:
            return -2
        asked = call.expire_seconds if call.is_own(vcon_id) else None
        return -1 if asked is None else asked

    def remove_expiry(self, vcon_id: str) -> bool:
        """Take back what was asked for in this call; whether anything was."""
        call = current()
        asked = call.is_own(vcon_id) and call.expire_seconds is not None
        if asked:
            call.expire_seconds = None
        return asked
