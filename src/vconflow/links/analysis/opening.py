"""The account and the model that a link's options name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vconflow.links.analysis.asking import Asker
from vconflow.links.analysis.options import ModelOptions
from vconflow.ports.component import Resources

__all__ = ["open_asker"]


@asynccontextmanager
async def open_asker(options: ModelOptions, resources: Resources) -> AsyncIterator[Asker]:
    """Open the account. Raises ConfigError when nothing names one."""
    async with resources.providers.completer(options.account()) as completer:
        yield Asker(
            completer,
            options.model,
            options.temperature,
            options.response_format,
            options.context_tokens,
        )
