"""Options of modules: a dict that only the module understands."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from vconflow.ports.component import Options

__all__ = ["ModuleOptions"]


class ModuleOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The module, and the options that go before its `default_options`."""

    is_open: ClassVar[bool] = True

    module: Annotated[str, Meta(description="The module, `package.module`.")]
    values: Annotated[dict[str, Any], Meta(description="Its options.")] = msgspec.field(
        default_factory=dict
    )

    def __repr__(self) -> str:
        # Which of the values are credentials is not known.
        return f"ModuleOptions(module={self.module!r}, values=***)"
