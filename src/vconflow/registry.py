"""Names of components to classes. Nothing is imported until it is configured.

To add a built-in link, storage or tracer, write its file and add one line to `BUILT_IN`. A package
of somebody else offers its own through the entry points `vconflow.links`, `vconflow.storages` and
`vconflow.tracers`, or is named in the configuration as `package.module:Class`. A module of the
reference's contract is named as `package.module`.
"""

import difflib
import enum
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from typing import Any, ClassVar, NamedTuple, Protocol, cast

from vconflow.ports.component import Component, Options

__all__ = [
    "BUILT_IN",
    "NOT_BUILT",
    "ComponentClass",
    "Kind",
    "NotBuilt",
    "RegistryError",
    "Target",
    "UnknownModule",
    "find",
    "import_foreign",
    "is_built_in",
    "is_installed",
    "is_ours",
    "load",
    "modules",
]


class Kind(enum.Enum):
    """What a component is."""

    LINK = "link"
    STORAGE = "storage"
    TRACER = "tracer"

    @property
    def group(self) -> str:
        """The entry point group of third parties."""
        return f"vconflow.{self.value}s"


class Target(NamedTuple):
    """Where a component's class is; `needs` is a package that only the extra `extra` installs.

    `module` is one of the reference's contract that the class runs.
    """

    path: str
    extra: str = ""
    needs: str = ""
    module: str = ""


class ComponentClass(Component[Any], Protocol):
    """What every component class says about itself."""

    options: ClassVar[type[Options]]


class RegistryError(Exception):
    """A component that cannot be had; the message says why."""


class UnknownModule(RegistryError):
    """No component has this name; `meant` is the known one it is probably a slip of."""

    def __init__(self, module: str, meant: str | None) -> None:
        hint = f", did you mean {meant!r}?" if meant else ""
        super().__init__(f"unknown module {module!r}{hint}")
        self.meant = meant


class NotBuilt(RegistryError):
    """The name may be right, but there is no such component here now."""


BUILT_IN: Mapping[Kind, Mapping[str, Target]] = {
    Kind.LINK: {
        "links.analyze": Target("vconflow.links.analyze:AnalyzeLink", "openai", "openai"),
        "links.analyze_and_label": Target(
            "vconflow.links.analyze_and_label:AnalyzeAndLabelLink", "openai", "openai"
        ),
        "links.analyze_vcon": Target(
            "vconflow.links.analyze_vcon:AnalyzeVconLink", "openai", "openai"
        ),
        "links.check_and_tag": Target(
            "vconflow.links.check_and_tag:CheckAndTagLink", "openai", "openai"
        ),
        "links.deepgram": Target("vconflow.links.deepgram_link:DeepgramLink"),
        "links.deepgram_link": Target("vconflow.links.deepgram_link:DeepgramLink"),
        "links.delay": Target("vconflow.links.delay:DelayLink"),
        "links.detect_engagement": Target(
            "vconflow.links.detect_engagement:DetectEngagementLink", "openai", "openai"
        ),
        "links.diet": Target("vconflow.links.diet:DietLink"),
        "links.expire_vcon": Target("vconflow.links.expire_vcon:ExpireVconLink"),
        "links.groq_whisper": Target(
            "vconflow.links.groq_whisper:GroqWhisperLink", "openai", "openai"
        ),
        "links.hugging_face_whisper": Target(
            "vconflow.links.hugging_face_whisper:HuggingFaceWhisperLink"
        ),
        "links.jq_link": Target("vconflow.links.jq_link:JqLink", "jq", "jq"),
        "links.openai_transcribe": Target(
            "vconflow.links.openai_transcribe:OpenaiTranscribeLink", "openai", "openai"
        ),
        "links.post_analysis_to_slack": Target(
            "vconflow.links.post_analysis_to_slack:SlackLink", "slack", "slack_sdk"
        ),
        "links.sampler": Target("vconflow.links.sampler:SamplerLink"),
        "links.tag": Target("vconflow.links.tag:TagLink"),
        "links.tag_router": Target("vconflow.links.tag_router:TagRouterLink"),
        "links.transcribe": Target("vconflow.links.transcribe:TranscribeLink"),
        "links.verify": Target("vconflow.links.verify:VerifyLink", "verify", "joserfc"),
        "links.webhook": Target("vconflow.links.webhook:WebhookLink"),
    },
    Kind.STORAGE: {
        "storage.file": Target("vconflow.adapters.storages.file:FileStorage"),
        "storage.milvus": Target(
            "vconflow.adapters.storages.milvus:MilvusStorage", "milvus", "pymilvus"
        ),
        "storage.mongo": Target(
            "vconflow.adapters.storages.mongo:MongoStorage", "mongo", "pymongo"
        ),
        "storage.postgres": Target(
            "vconflow.adapters.storages.postgres:PostgresStorage", "postgres", "asyncpg"
        ),
        "storage.redis_storage": Target("vconflow.adapters.storages.redis_storage:RedisStorage"),
        "storage.s3": Target("vconflow.adapters.storages.s3:S3Storage", "s3", "aioboto3"),
        "storage.webhook": Target("vconflow.adapters.storages.webhook:WebhookStorage"),
    },
    Kind.TRACER: {
        "tracers.jlinc": Target("vconflow.adapters.tracers.jlinc:JlincTracer"),
    },
}

# Components of the reference conserver, past ones included: configurations that name them load.
NOT_BUILT: Mapping[Kind, frozenset[str]] = {
    Kind.LINK: frozenset(
        {
            "links.datatrails",
            "links.hugging_llm_link",
            "links.scitt",
            "links.script",
            "links.summary",
            "links.wtf_transcribe",
        }
    ),
    Kind.STORAGE: frozenset(
        {
            "storage.chatgpt_files",
            "storage.dataverse",
            "storage.elasticsearch",
            "storage.scitt",
            "storage.sftp",
            "storage.spaceandtime",
            "storage.vcon_mcp",
        }
    ),
    Kind.TRACER: frozenset(),
}

_CONTRACTS: Mapping[Kind, str] = {
    Kind.LINK: "vconflow.adapters.modules.link:ModuleLink",
    Kind.STORAGE: "vconflow.adapters.modules.storage:ModuleStorage",
}
"""What runs modules of the reference's contract."""

NAMESPACES = ("link.", "links.", "storage.", "storages.", "tracer.", "tracers.")


def find(kind: Kind, module: str) -> Target:
    """The class behind `module`, without importing it.

    `module` is `links.tag`, `storage.file` (also `storages.file`), the name of an entry point, or
    `package.module:Class`, or a module of the reference's contract. Raises NotBuilt for components
    of the reference that are missing here and for modules that are not installed, UnknownModule
    for what nothing knows.
    """
    if ":" in module:
        return Target(module)
    name = _canonical(module)
    if target := BUILT_IN[kind].get(name):
        return target
    if name in NOT_BUILT[kind]:
        raise NotBuilt(f"{module} is not built yet")
    if found := entry_points(group=kind.group, name=module):
        return Target(next(iter(found)).value)
    if meant := _bare_names(kind).get(name):
        raise UnknownModule(module, meant)
    if name.startswith(NAMESPACES) and not _is_theirs(module):
        near = difflib.get_close_matches(name, modules(kind), n=1, cutoff=0.7)
        raise UnknownModule(module, near[0] if near else None)
    if kind not in _CONTRACTS:
        raise NotBuilt(f"{module} is not built yet")
    if not is_installed(module):
        raise NotBuilt(f"{module} is not installed")
    return Target(_CONTRACTS[kind], module=module)


def is_installed(module: str) -> bool:
    """Whether there is such a module; of `package.module` only the package is looked for."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except ValueError:  # no name, or that of a program
        return False


def _is_theirs(module: str) -> bool:
    """Whether somebody has put `links.own` where `links.tag` seems to be. Imports nothing."""
    package, _, name = module.partition(".")
    around = importlib.util.find_spec(package)
    places = around.submodule_search_locations if around else None
    inner = f"{package}.{name.partition('.')[0]}"
    return places is not None and PathFinder.find_spec(inner, places) is not None


def import_foreign(module: str) -> None:
    """Import a module of a third party, with what it imports of the reference conserver.

    Raises RegistryError.
    """
    importing: Any = importlib.import_module("vconflow.adapters.modules.importing")
    _guarded(module, lambda: importing.import_module(module))


def is_ours(kind: Kind, module: str) -> bool:
    """Whether a component of vconflow itself has this name, built or not."""
    name = _canonical(module)
    return name in BUILT_IN[kind] or name in NOT_BUILT[kind]


def is_built_in(path: str) -> bool:
    """Whether a class is a component of vconflow itself; what runs modules of others is none."""
    return any(path == it.path for targets in BUILT_IN.values() for it in targets.values())


def modules(kind: Kind) -> list[str]:
    """Every name that `find` knows for this kind, built or not."""
    installed = entry_points(group=kind.group).names
    return sorted({*BUILT_IN[kind], *NOT_BUILT[kind], *installed})


def load(target: Target) -> type[ComponentClass]:
    """Import a component's class. Raises RegistryError when that is not possible."""
    if target.needs and importlib.util.find_spec(target.needs) is None:
        extra = target.extra
        raise RegistryError(f"needs the extra '{extra}': pip install 'vconflow[{extra}]'")
    path, _, name = target.path.partition(":")
    found: Any = getattr(_guarded(path, lambda: importlib.import_module(path)), name, None)
    if found is None:
        raise RegistryError(f"module {path!r} has no {name!r}")
    options = getattr(found, "options", None)
    if not (isinstance(options, type) and issubclass(options, Options) and hasattr(found, "open")):
        raise RegistryError(f"{target.path} is no component: it needs `options` and `open`")
    if target.module:
        complaint = _guarded(target.module, lambda: found.complaint_about(target.module))
        if complaint:
            raise RegistryError(complaint)
    return cast(type[ComponentClass], found)


def _guarded(module: str, importing: Callable[[], Any]) -> Any:
    """Import something. Raises RegistryError, whatever the foreign code in it raises."""
    try:
        return importing()
    # Each is a problem of this component, and none is to end the process.
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise RegistryError(f"cannot import {module!r}: {kind}: {error}") from error


def _canonical(module: str) -> str:
    """The spelling that the tables use."""
    name = module.replace("-", "_")
    return f"storage.{name[9:]}" if name.startswith("storages.") else name


def _bare_names(kind: Kind) -> dict[str, str]:
    return {name.rpartition(".")[2]: name for name in BUILT_IN[kind]}
