"""A link of the reference's contract: `run(vcon_uuid, link_name, opts)` in a module."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, Self

from vconflow.adapters.modules import contract
from vconflow.adapters.modules.call import ModuleCall
from vconflow.adapters.modules.changes import take_over
from vconflow.adapters.modules.options import ModuleOptions
from vconflow.errors import Permanent
from vconflow.model.identifiers import canonical_uuid
from vconflow.model.vcon import Vcon
from vconflow.ports.component import Options, Resources
from vconflow.ports.link import CONTINUE, Halt, LinkRun, Outcome, Replace, Route
from vconflow.ports.modules import ModuleHost

__all__ = ["ModuleLink"]


class ModuleLink:
    """Calls `run` of a module in a thread, on the vCon as it is in this run.

    What the module stores of that vCon is this link's change of it, to be committed by the engine
    with everything else; a call that fails or is given up changes nothing.
    """

    options: ClassVar[type[Options]] = ModuleOptions

    def __init__(self, module: ModuleType, values: dict[str, Any], host: ModuleHost) -> None:
        self._name = module.__name__
        self._function = module.run
        self._values = values
        self._host = host

    @staticmethod
    def complaint_about(name: str) -> str:
        """Import the module; why it is no link, empty when it is one."""
        return contract.complaint(name, "run", 3)

    @classmethod
    @asynccontextmanager
    async def open(cls, options: ModuleOptions, resources: Resources) -> AsyncIterator[Self]:
        """Import the module in a thread."""
        module, values = await contract.opened(options, resources.modules)
        yield cls(module, values, resources.modules)

    async def __call__(self, vcon: Vcon, run: LinkRun) -> Outcome:
        """Run the module. Raises what it raises, Permanent when it returns no uuid."""
        call = ModuleCall(self._host, vcon.uuid, may_change=True)
        work = partial(self._work, call, vcon, run.link)
        try:
            outcome = await self._host.call(work, f"{self._name}.run")
        finally:
            call.end()
        if call.expire_seconds is not None:
            run.expire(call.expire_seconds)
        if isinstance(outcome, Replace):
            # The lists of this run get the vCon that takes its place.
            for name in call.lists:
                await self._host.enqueue(call.uuid, name)
        return outcome

    def _work(self, call: ModuleCall, vcon: Vcon, link: str) -> Outcome:
        """In the thread, which a large vCon may take its time in: the loop has no use for it.

        The vCon of a call that was given up is never looked at again.
        """
        call.document = vcon.to_bytes()
        returned = call.run(self._function, self._values, call.uuid, link)
        outcome = _outcome(returned, call)
        if call.is_changed:
            take_over(vcon, call.document)
        return outcome


def _outcome(returned: object, call: ModuleCall) -> Outcome:
    if not returned:
        return Route(tuple(call.lists), go_on=False) if call.lists else Halt("run() returned none")
    try:
        uuid = canonical_uuid(str(returned))
    except ValueError:
        kind = type(returned).__name__
        raise Permanent(f"run() returned a {kind} that is no uuid; nothing halts") from None
    if uuid != call.uuid:
        return Replace(uuid)
    return Route(tuple(call.lists)) if call.lists else CONTINUE
