"""Names to classes: lazily, in all accepted spellings, with an error that helps."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from vconflow import registry
from vconflow.ports.component import Options
from vconflow.registry import Kind, Target

BUILT_IN = [(kind, name) for kind, known in registry.BUILT_IN.items() for name in known]


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_built_in_component_loads(kind: Kind, name: str) -> None:
    component = registry.load(registry.find(kind, name))
    assert issubclass(component.options, Options)
    assert callable(component.open)


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("vconflow.registry, vconflow.config", ("asyncpg", "vconflow.links", "vconflow.adapters")),
        ("vconflow.app", ("asyncpg", "aioboto", "aiobot", "boto", "aiohttp", "vconflow.links")),
    ],
)
def test_nothing_is_imported_before_it_is_configured(
    modules: str, unwanted: tuple[str, ...]
) -> None:
    code = f"import sys, {modules}\nprint([m for m in sys.modules if m.startswith({unwanted!r})])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "src"},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["storage.postgres", "storages.postgres"])
def test_spellings_of_a_storage(name: str) -> None:
    target = registry.find(Kind.STORAGE, name)
    assert target.path == "vconflow.adapters.storages.postgres:PostgresStorage"


def test_an_explicit_class() -> None:
    target = registry.find(Kind.LINK, "strangers_components:EchoLink")
    assert registry.load(target).__name__ == "EchoLink"


def test_entry_points_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    known = EntryPoints([EntryPoint("shout", "strangers_components:EchoLink", "vconflow.links")])
    monkeypatch.setattr(registry, "entry_points", known.select)
    assert registry.find(Kind.LINK, "shout").path == "strangers_components:EchoLink"
    assert "shout" in registry.modules(Kind.LINK)
    with pytest.raises(registry.NotBuilt, match="shout is not installed"):
        registry.find(Kind.STORAGE, "shout")


@pytest.mark.parametrize(
    ("kind", "module", "message"),
    [
        (Kind.LINK, "links.hugging-llm-link", "links.hugging-llm-link is not built yet"),
        (Kind.STORAGE, "storages.sftp", "storages.sftp is not built yet"),
        (Kind.LINK, "nowhere.links.tag", "nowhere.links.tag is not installed"),
        (Kind.LINK, ".relative", ".relative is not installed"),
        (Kind.TRACER, "nowhere.tracer", "nowhere.tracer is not built yet"),
    ],
)
def test_known_names_that_are_missing(kind: Kind, module: str, message: str) -> None:
    with pytest.raises(registry.NotBuilt, match=message):
        registry.find(kind, module)


@pytest.mark.parametrize(
    ("kind", "module", "meant"),
    [
        (Kind.LINK, "links.tagg", "links.tag"),
        (Kind.LINK, "link.webhook", "links.webhook"),
        (Kind.LINK, "sampler", "links.sampler"),
        (Kind.STORAGE, "storages.postgre", "storage.postgres"),
        (Kind.STORAGE, "postgres", "storage.postgres"),
        (Kind.STORAGE, "links.xyz", None),
        (Kind.TRACER, "tracers.jlink", "tracers.jlinc"),
    ],
)
def test_unknown_names(kind: Kind, module: str, meant: str | None) -> None:
    with pytest.raises(registry.UnknownModule) as caught:
        registry.find(kind, module)
    assert caught.value.meant == meant


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            Target("vconflow.adapters.storages.file:FileStorage", "turbo", "no_such_package"),
            r"needs the extra 'turbo': pip install 'vconflow\[turbo\]'",
        ),
        (Target("no_such_package:Link"), "cannot import 'no_such_package': ModuleNotFoundError"),
        (Target("strangers_broken:Link"), "cannot import .*: RuntimeError: no such device"),
        (Target("strangers_components:None_"), "has no 'None_'"),
        (Target("strangers_components:NoComponent"), "is no component"),
        (Target("strangers_components:"), "has no ''"),
    ],
)
def test_a_class_that_cannot_be_had(target: Target, message: str) -> None:
    with pytest.raises(registry.RegistryError, match=message):
        registry.load(target)
