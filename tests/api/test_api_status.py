"""/status: a page that needs nothing but this server, and makes no markup of anybody's text."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx
import msgspec
import pytest
from api_doubles import KEY, TOKEN, ChainsDouble, Settings, World, served
from starlette.types import ASGIApp, Receive, Scope, Send

from vconflow import api
from vconflow.api import Dependency, build_asgi
from vconflow.api.status import _ASSETS
from vconflow.errors import NotFound
from vconflow.model.identifiers import new_uuid
from vconflow.ports.access import AccessRules, ApiKey, Role
from vconflow.ports.chain_control import ChainStatus
from vconflow.ports.component import Secret
from vconflow.ports.history import HistoryRecord, StepTime

FILES = Path(api.__file__).parent / "static" / "status"
SCRIPTS = sorted(FILES.glob("*.js"))
TESTS = Path(__file__).parent / "status_page"
HOSTILE = "<img src=x onerror=alert(1)>/../\"'&amp;{base}"
READER = "a-key-that-may-only-read"


class References(HTMLParser):
    """What a page refers to, what it says inline, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.files: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                self.files.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value or "")
            if name in ("for", "aria-labelledby", "aria-describedby"):
                self.labels.append(value or "")
        self._in_script = tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


@pytest.fixture
async def stranger(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("path", ["/status", "/status/", "/api/status", "/api/status/"])
async def test_everyone_gets_the_page_and_all_that_it_names(
    stranger: httpx.AsyncClient, path: str
) -> None:
    page = await stranger.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    found = References(page.text)
    assert len(found.files) == 3
    assert not found.inline
    wanted = [urljoin(path, name) for name in found.files]
    for url in wanted:
        assert not url.startswith("http")
        reply = await stranger.get(url)
        assert reply.status_code == 200, url
        assert reply.headers["x-content-type-options"] == "nosniff"
        wanted += {
            urljoin(url, name) for name in re.findall(r'from "(.*?)"', reply.text)
        } - set(wanted)  # fmt: skip
    assert {url.rpartition("/")[2] for url in wanted} == set(_ASSETS)


async def test_paths_are_relative_whatever_a_proxy_puts_before(
    stranger: httpx.AsyncClient,
) -> None:
    for name in References((await stranger.get("/api/status")).text).files:
        assert re.fullmatch(r"status/[\w.]+", name)


async def test_the_scripts_look_for_the_api_beside_the_folder_of_the_page(
    stranger: httpx.AsyncClient,
) -> None:
    script = (await stranger.get("/api/status/start.js")).text
    assert 'new URL("../", import.meta.url)' in script
    assert urljoin(urljoin("/p/api/status/start.js", "../"), "chains") == "/p/api/chains"
    for path in SCRIPTS:  # relative to that, and every route is there
        asked = re.findall(r'\.(?:json|ask)\(["`]([^"`]+)', path.read_text())
        for route in asked:
            assert not route.startswith(("/", "http"))
            reply = await stranger.get("/api/" + re.sub(r"\$\{[^}]*\}", "x", route))
            assert reply.status_code in (200, 403, 405), route


def test_every_file_is_served_and_every_served_one_is_there() -> None:
    assert {path.name for path in FILES.iterdir()} == {*_ASSETS, "page.html"}


async def test_the_policy_allows_no_text_to_be_run(stranger: httpx.AsyncClient) -> None:
    for path in ("/status", "/status/start.js"):
        (policy,) = (await stranger.get(path)).headers.get_list("content-security-policy")
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == rules["base-uri"] == "'none'"
        assert {rules[f"{kind}-src"] for kind in ("script", "style", "connect")} == {"'self'"}
        assert rules["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in policy


async def test_it_is_asked_for_again_but_not_sent_twice(stranger: httpx.AsyncClient) -> None:
    for path in ("/status", "/status/app.js"):
        first = await stranger.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await stranger.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    [
        "page.html", "..%2fdocs.py", "%2e%2e%2fstatus.py", "start.js%00", "START.JS", "x/start.js",
        "..%5cstatus.css", "%252e%252e%252fstatus.py", "/start.js",
    ],
)  # fmt: skip
async def test_no_other_file_is_served(stranger: httpx.AsyncClient, name: str) -> None:
    assert (await stranger.get(f"/status/{name}")).status_code == 404


async def test_the_page_knows_the_header_of_the_key_and_no_key(world: World) -> None:
    world.settings.conserver_header_name = 'x-"><script>'
    transport = httpx.ASGITransport(build_asgi(world.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        text = (await client.get("/status")).text
    assert 'data-key-header="x-&quot;&gt;&lt;script&gt;"' in text
    assert TOKEN not in text


def test_labels_name_what_is_there() -> None:
    found = References((FILES / "page.html").read_text())
    assert len(found.ids) == len(set(found.ids))
    assert set(found.labels) <= set(found.ids)
    for path in SCRIPTS:
        used = re.findall(r'(?:\bat|on|getElementById)\("([\w-]+)"', path.read_text())
        assert set(used) <= set(found.ids), path.name


@pytest.mark.parametrize("path", [*SCRIPTS, FILES / "status.css"], ids=lambda path: path.name)
def test_nothing_makes_code_or_markup_of_text_or_leaves_this_server(path: Path) -> None:
    text = path.read_text()
    dangerous = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment"
        r"|DOMParser|\beval\b|new Function|srcdoc|javascript:|localStorage|\.cookie"
        r"|setTimeout\(\s*[\"'`]|@import|url\("
    )
    assert not re.search(dangerous, text)
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    style = (FILES / "status.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#\w+)", dark))
    for name in ("ink", "quiet", "accent", "good", "warn", "bad"):
        for back in ("paper", "panel", *([f"{name}-back"] if f"{name}-back" in colours else [])):
            assert contrast(colours[name], colours[back]) >= 4.5, (name, back)


def contrast(one: str, other: str) -> float:
    """By the WCAG."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class HostileChains(ChainsDouble):
    """The chain `main` under a name that would be markup, with links and lists of that kind."""

    def _status(self, name: str) -> ChainStatus:
        status = super()._status(name)
        if name != "main":
            return status
        return msgspec.structs.replace(
            status,
            name=HOSTILE,
            storages=(HOSTILE,),
            egress_lists=(HOSTILE,),
            dead=25,
            paused=HOSTILE in self.paused,
        )

    async def chain(self, name: str) -> ChainStatus:
        if name != HOSTILE:
            raise NotFound(f"Chain '{name}' is not configured")
        return self._status("main")


def happened(uuid: str) -> list[HistoryRecord]:
    at = 1_700_000_000_000
    links = (StepTime("mark", 3.0, "continue"), StepTime(HOSTILE, 1.5, "halt"))
    return [
        HistoryRecord(kind="accepted", at=at, uuid=uuid, lists=("inbox",), source="http"),
        HistoryRecord(kind="halted", at=at + 20, uuid=uuid, chain=HOSTILE, links=links),
    ]


async def test_the_scripts_do_what_they_should(world: World, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node, "the scripts of the page are tried with node: install the package nodejs"
    uuid = new_uuid("test")
    world.chains = HostileChains()
    world.history.records[uuid] = happened(uuid)
    world.dead.fill("inbox", [new_uuid("test") for _ in range(25)], error=f"it broke {HOSTILE}")
    world.access = AccessRules(api_keys=(ApiKey("reader", Secret(READER), Role.READ),))
    for path in (*FILES.iterdir(), *TESTS.iterdir()):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    open_world = World(settings=Settings(conserver_api_token=None))
    open_world.dependencies.append(Dependency("storage:pg", False, 0, "it is down", False))
    async with (
        served(build_asgi(world.services()), lambda _: None) as port,
        served(below("/p", build_asgi(open_world.services())), lambda _: None) as open_port,
    ):
        base, open_base = f"http://127.0.0.1:{port}/api/", f"http://127.0.0.1:{open_port}/p/api/"
        async with httpx.AsyncClient(headers=KEY) as client:
            (tmp_path / "page.html").write_text((await client.get(f"{base}status")).text)
        telling = asyncio.create_task(tell_forever(world))
        keys = {"KEY": TOKEN, "READER": READER}
        told = {"BASE": base, "OPEN": open_base, "HOSTILE": HOSTILE, "UUID": uuid, **keys}
        process = await asyncio.create_subprocess_exec(
            node, "--test", "parts.test.js", "whole.test.js", cwd=tmp_path,
            env={**os.environ, **told},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(120):
                output, _ = await process.communicate()
        finally:
            telling.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
            world.feed.close()
            open_world.feed.close()
    assert process.returncode == 0, output.decode()
    # The page stopped asking with a wrong key after its first refusal.
    assert HOSTILE in world.chains.paused
    assert len(world.dead.replayed) == 1


def below(prefix: str, app: ASGIApp) -> ASGIApp:
    """The application behind a proxy that serves it below `prefix`, and takes that away."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(prefix)
        await app({**scope, "path": scope["path"].removeprefix(prefix)}, receive, send)

    return proxy


async def tell_forever(world: World) -> None:
    """An event now and then, to whoever listens."""
    while True:
        if world.channel.heard:
            world.channel.tell(HistoryRecord(kind="completed", at=1, uuid="u", chain=HOSTILE))
        await asyncio.sleep(0.05)
