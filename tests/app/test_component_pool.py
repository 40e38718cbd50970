"""What is said of a component that cannot be opened."""

import sys
from pathlib import Path

import pytest

from vconflow.adapters.providers import ProviderOptions, open_providers
from vconflow.errors import ConfigError
from vconflow.links.analyze import AnalyzeLink
from vconflow.ports.component import Secret
from vconflow.site.component_pool import Wanted, open_pool
from vconflow.testing.contracts import resources_for


async def complaint(folder: Path) -> str:
    # What the configuration refuses, here without it.
    options = AnalyzeLink.options(
        prompt="Sum up.", openai_api_key=Secret("key"), base_url="http://u:hidden/x@127.0.0.1/"
    )
    wanted = Wanted("links.x", "vconflow.links.analyze:AnalyzeLink", options)
    async with open_pool() as pool, open_providers(ProviderOptions()) as providers:
        with pytest.raises(ConfigError) as caught:
            await pool.acquire(wanted, resources_for(folder, providers=providers))
    return str(caught.value)


async def test_a_driver_is_not_quoted(tmp_path: Path) -> None:
    assert await complaint(tmp_path) == "links.x: cannot be opened: InvalidURL"


async def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vconflow.links.analyze", None)
    assert (await complaint(tmp_path)).startswith(
        "links.x: cannot be opened: cannot import 'vconflow.links.analyze': ModuleNotFoundError"
    )
