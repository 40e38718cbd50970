"""`lib.queue`: putting vCons on lists."""

from vconflow.adapters.modules.call import current

__all__ = ["VconQueue"]


class VconQueue:
    """The vCon of the call goes on a list when its chain has finished, others at once.

    Reading lists is the server's business: what takes a list over HTTP or by a chain keeps what it
    took until it is done.
    """

    def __init__(self, client: object = None) -> None:
        """`client` is taken for nothing: there is no other Redis."""

    def enqueue(self, list_name: str, vcon_id: str) -> int:
        """Put a vCon on a list. Raises NotFound for another vCon and a list no chain reads."""
        return current().enqueue(list_name, vcon_id)

    def enqueue_front(self, list_name: str, vcon_id: str) -> int:
        """The same: lists keep their order."""
        return current().enqueue(list_name, vcon_id)

    def set_vcon_ttl(self, vcon_id: str, seconds: int) -> bool:
        """As `VconRedis.set_expiry`."""
        return current().expire(vcon_id, seconds)

    def enqueue_dlq(self, ingress_list: str, vcon_id: str) -> int:
        """Refused: a link that raises makes the dead letter, with its reason."""
        raise RuntimeError("raise an error instead: vconflow makes the dead letter, and says why")

    def dequeue(self, list_names: list[str], timeout: int = 15) -> None:
        """Refused: a vCon taken from a list like that would be lost with the process."""
        raise RuntimeError("lists are read by chains and over HTTP, not by modules")

    def queue_length(self, list_name: str) -> int:
        """Refused, see GET /stats/queue."""
        raise RuntimeError("the depth of a list is told by GET /stats/queue and /metrics")
