"""What a document may refer to that did not come from this process's own configuration file.

Whoever may write that file can run code here anyway. A document that came over HTTP, or out of
the store that the API writes to, must neither make this process import code nor read variables of
its environment that the file does not use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from vconflow import registry
from vconflow.config.expansion import REFERENCE, expand
from vconflow.config.findings import Findings, Loc
from vconflow.registry import Kind

__all__ = ["Allowances", "untrusted"]

_COMPONENTS = ("links", "storages", "tracers")


@dataclass(frozen=True)
class Allowances:
    """The foreign modules, packages (`pip_name`) and variables that the file names."""

    modules: frozenset[str]
    packages: frozenset[str]
    variables: frozenset[str]

    @classmethod
    def of(cls, document: dict[str, Any], env: Mapping[str, str]) -> Self:
        """What the document of a file allows to others."""
        expanded = expand(document, env, (), Findings())
        return cls(
            modules=frozenset(module for _, module in _modules(expanded)),
            packages=frozenset(package for _, package in _packages(expanded)),
            variables=frozenset(name for _, name in _variables(document, ())),
        )

    def may_load(self, kind: Kind, module: str) -> bool:
        """Whether a component may be of this module."""
        return registry.is_ours(kind, module) or module in self.modules

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The part of the environment that may be read."""
        return {name: env[name] for name in self.variables if name in env}

    def check_variables(self, document: Any, findings: Findings) -> list[str]:
        """Note every variable that must not be read; their names."""
        refused = []
        for loc, name in _variables(document, ()):
            if name not in self.variables:
                refused.append(name)
                message = f"{name} is no variable that this server's configuration file refers to"
                findings.error(loc, message, "untrusted_variable")
        return refused

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
