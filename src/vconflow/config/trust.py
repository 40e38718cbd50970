"""What a document may refer to that did not come from this process's own configuration file.

Whoever may write that file can run code here anyway. A document that came over HTTP, or out of
the store that the API writes to, must neither make this process import code nor write files just
anywhere. Nor may it read the environment, but where the file does: a variable that may stand
anywhere could be read back, as the name of a list or as a tag, or be sent to somebody else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vconflow import registry
from vconflow.config.expansion import REFERENCE, expand
from vconflow.config.field_types import local_paths
from vconflow.config.findings import Findings, Loc
from vconflow.config.unmasking import goes_to
from vconflow.ports.component import Options
from vconflow.registry import Kind

__all__ = ["Allowances", "untrusted"]

_COMPONENTS = ("links", "storages", "tracers")
_SENDING = (*_COMPONENTS, "followers")
_KEYS = ("api_keys", "ingress_auth")


@dataclass(frozen=True)
class Allowances:
    """The foreign modules, packages (`pip_name`), variables and folders that the file names.

    `references` is where it refers to which variable, `destinations` where each of its components
    sends what it knows, `module_options` what options each module has.
    """

    modules: frozenset[str]
    packages: frozenset[str]
    references: frozenset[tuple[Loc, str]]
    module_options: tuple[tuple[str, Any], ...]
    destinations: Mapping[Loc, Any]
    folders: tuple[Path, ...]

    @classmethod
    def of(
        cls, document: dict[str, Any], env: Mapping[str, str], folders: Iterable[Path] = ()
    ) -> Self:
        """What the document of a file allows to others; `folders` they may use, and all below."""
        expanded = expand(document, env, (), Findings())
        return cls(
            modules=frozenset(module for _, module in _modules(expanded)),
            packages=frozenset(package for _, package in _packages(expanded)),
            references=frozenset((_place(loc), name) for loc, name in _variables(document, ())),
            module_options=tuple(
                (entry["module"], entry.get("options") or {})
                for _, entry in _entries(expanded, *_COMPONENTS)
                if isinstance(entry, dict) and isinstance(entry.get("module"), str)
            ),
            destinations={loc: goes_to(entry) for loc, entry in _entries(document, *_SENDING)},
            folders=tuple(folders),
        )

    @property
    def variables(self) -> frozenset[str]:
        """The names of all variables that the file refers to."""
        return frozenset(name for _, name in self.references)

    def may_load(self, kind: Kind, module: str) -> bool:
        """Whether a component may be of this module."""
        return registry.is_ours(kind, module) or module in self.modules

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The part of the environment that may be read."""
        return {name: env[name] for name in self.variables if name in env}

    def check_variables(self, document: dict[str, Any], findings: Findings) -> list[str]:
        """Note every variable that must not be read, or not there; their names."""
        refused, known = [], self.variables
        moved = {
            loc
            for loc, entry in _entries(document, *_SENDING)
            if loc in self.destinations and goes_to(entry) != self.destinations[loc]
        }
        for loc, name in _variables(document, ()):
            if name not in known:
                message = f"{name} is no variable that this server's configuration file refers to"
            elif (_place(loc), name) not in self.references:
                message = f"this server's configuration file does not refer to {name} here"
            elif loc[:2] in moved:
                message = f"where this goes to has changed: only the file may send {name} there"
            else:
                continue
            refused.append(name)
            findings.error(loc, message, "untrusted_variable")
        return refused

    def check_paths(self, options: Options, loc: Loc, findings: Findings) -> None:
        """Note every file and folder that is neither one of `folders` nor below one."""
        for name, path in local_paths(options):
            if not _is_below(Path(path), self.folders):
                message = (
                    "is neither in the data folder nor below what the configuration file names"
                )
                findings.error((*loc, name), message, "untrusted_path")

    def check_module_options(
        self, module: str, options: dict[str, Any], loc: Loc, findings: Findings
    ) -> None:
        """Note options that a foreign module does not have in the file.

        Which of them name a file, a program or an address nobody but the module knows.
        """
        if (module, options) not in self.module_options:
            message = "only this server's configuration file may set options of a foreign module"
            findings.error(loc, message, "untrusted_options")

    def check_packages(self, expanded: dict[str, Any], findings: Findings) -> None:
        """Note every package, and every import, that the file does not name."""
        for loc, _ in _packages(expanded, but=self.packages):
            message = "is no package that this server's configuration file names"
            findings.error(loc, message, "untrusted_package")
        for loc, module in _modules(expanded):
            if loc[0] == "imports" and module not in self.modules:
                findings.error(loc, untrusted(module), "untrusted_module")


def untrusted(module: str) -> str:
    """Say why a module is refused."""
    return f"module {module!r} is neither built in nor named by this server's configuration file"


def _place(loc: Loc) -> Loc:
    """A place, whatever the position in a list. Those of keys are one: they only let people in."""
    names = tuple(part for part in loc[2:] if not isinstance(part, int))
    if loc and loc[0] in _KEYS and (names == ("key",) or (loc[0] == "ingress_auth" and not names)):
        return ("keys",)
    return tuple(0 if isinstance(part, int) else part for part in loc)


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path leads to one of the folders or below, by way of links too."""
    try:
        place = path.expanduser().resolve()
        return any(place.is_relative_to(folder.expanduser().resolve()) for folder in folders)
    except (OSError, ValueError, RuntimeError):  # it leads nowhere
        return False


def _variables(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        for found in REFERENCE.finditer(value):
            if not found["escaped"]:
                yield loc, found["name"]
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _variables(item, (*loc, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _variables(item, (*loc, index))


def _entries(document: dict[str, Any], *sections: str) -> Iterator[tuple[Loc, Any]]:
    for section in sections:
        entries = document.get(section)
        if isinstance(entries, dict):
            yield from (((section, name), entry) for name, entry in entries.items())


def _modules(document: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    for loc, entry in _entries(document, *_COMPONENTS, "imports"):
        if isinstance(entry, str) and loc[0] == "imports":
            yield loc, entry
        elif isinstance(entry, dict) and isinstance(entry.get("module"), str):
            yield (*loc, "module"), entry["module"]


def _packages(
    document: dict[str, Any], *, but: frozenset[str] = frozenset()
) -> Iterator[tuple[Loc, str]]:
    for loc, entry in _entries(document, *_COMPONENTS, "imports"):
        package = entry.get("pip_name") if isinstance(entry, dict) else None
        if isinstance(package, str) and package not in but:
            yield (*loc, "pip_name"), package
