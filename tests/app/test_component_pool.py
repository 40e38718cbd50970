"""What is said of a component that cannot be opened."""

from pathlib import Path

import pytest

from vconflow.adapters.providers import ProviderOptions, open_providers
from vconflow.errors import ConfigError
from vconflow.links.analyze import AnalyzeLink
from vconflow.ports.component import Secret
from vconflow.site.component_pool import Wanted, open_pool
from vconflow.testing.contracts import resources_for


async def test_a_driver_is_not_quoted(tmp_path: Path) -> None:
    # What the configuration refuses, here without it.
    options = AnalyzeLink.options(
        prompt="Sum up.", openai_api_key=Secret("key"), base_url="http://u:hidden/x@127.0.0.1/"
    )
    wanted = Wanted("links.x", "vconflow.links.analyze:AnalyzeLink", options)
    async with open_pool() as pool, open_providers(ProviderOptions()) as providers:
        with pytest.raises(ConfigError) as caught:
            await pool.acquire(wanted, resources_for(tmp_path, providers=providers))
    assert str(caught.value) == "links.x: cannot be opened: InvalidURL"
