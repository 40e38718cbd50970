"""/docs: a page that needs nothing but this server."""

import re
from urllib.parse import urljoin

import httpx
import pytest


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/api/docs", "/api/docs/"])
async def test_all_that_the_page_names_is_served_beside_it(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(named) == 4
    for name in named:
        assert not name.startswith(("/", "http"))  # else no proxy could serve it below a path
        asset = await client.get(urljoin(path, name))
        assert asset.status_code == 200, name
        assert asset.headers["content-type"].startswith(("text/css", "text/javascript", "image/"))
        assert asset.headers["x-content-type-options"] == "nosniff"
        assert asset.headers.get_list("etag")


async def test_the_script_looks_for_the_description_beside_the_page(
    client: httpx.AsyncClient,
) -> None:
    script = (await client.get("/docs/start.js")).text
    assert 'new URL("../openapi.json", document.currentScript.src)' in script
    assert (await client.get(urljoin("/docs/start.js", "../openapi.json"))).status_code == 200
    assert "http" not in script
    assert "validatorUrl: null" in script


async def test_the_policy_lets_the_page_load_from_here_only(client: httpx.AsyncClient) -> None:
    reply = await client.get("/docs")
    (policy,) = reply.headers.get_list("content-security-policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert "http" not in policy
    assert "<script>" not in reply.text
    assert "style=" not in reply.text


async def test_assets_are_not_sent_twice(client: httpx.AsyncClient) -> None:
    first = await client.get("/docs/swagger-ui.css")
    again = await client.get(
        "/docs/swagger-ui.css", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    (cached,) = first.headers.get_list("cache-control")
    assert "max-age" in cached


@pytest.mark.parametrize(
    "path",
    [
        "/docs/index.html",
        "/docs/swagger-editor.js",
        "/docs/..%2fcore.py",
        "/docs/%2e%2e%2f__init__.py",
        "/docs/swagger-ui.css%00",
        "/docs/SWAGGER-UI.CSS",
        "/docs/static/swagger-ui.css",
    ],
)
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_framework_of_the_asset_library_is_not_imported(
    client: httpx.AsyncClient,
) -> None:
    import sys

    assert (await client.get("/docs/swagger-ui-bundle.js")).status_code == 200
    assert "swagger_ui" not in sys.modules
