"""From a file to a `Config`, or to every problem it has."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from vconflow.config.access import read_access
from vconflow.config.chains import Components, read_chains
from vconflow.config.components import read_links, read_storages, read_tracers
from vconflow.config.expansion import expand
from vconflow.config.findings import Findings, nearest
from vconflow.config.partners import read_followers, read_imports
from vconflow.config.redaction import without_values
from vconflow.config.sections import SECTIONS
from vconflow.config.shape import check_shape
from vconflow.config.trust import Allowances
from vconflow.config.types import Config
from vconflow.config.yaml_source import read_yaml
from vconflow.errors import ConfigError, Problem

__all__ = ["Report", "build", "check", "load", "parse", "read_text"]

_MOST_NAMES: Final = 5_000
"""Entries of a section."""


@dataclass(frozen=True)
class Report:
    """What `check` found, as lines of text. `config` is None when there are errors."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    config: Config | None


def check(path: Path, env: Mapping[str, str]) -> Report:
    """Load a file and report instead of raising."""
    try:
        config = load(path, env)
    except ConfigError as error:
        return Report(tuple(map(str, error.problems)), (), None)
    return Report((), tuple(map(str, config.warnings)), config)


def load(path: Path, env: Mapping[str, str]) -> Config:
    """Read a YAML file. Raises ConfigError with all its problems, each with its place.

    Reads files and imports the components that are configured: not for the event loop.
    """
    return parse(read_text(path), env)


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8: byte {error.start} cannot be read"
        raise ConfigError([Problem((), message, "unreadable")]) from None
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise ConfigError([Problem((), message, "unreadable")]) from None


def parse(text: str, env: Mapping[str, str]) -> Config:
    """Read YAML (JSON is YAML too). Raises ConfigError with all its problems."""
    return build(read_yaml(text), env)


def build(raw: Any, env: Mapping[str, str], allowed: Allowances | None = None) -> Config:
    """Check a document that is parsed already. Raises ConfigError with all its problems.

    One that did not come from this process's file may use only what is `allowed`; its problems
    never quote the environment.
    """
    if not isinstance(raw, dict):
        raise ConfigError([Problem((), "the configuration must be a mapping", "wrong_type")])
    findings = Findings()
    check_shape(raw, findings)
    findings.raise_errors()
    if allowed is None:
        return _build(raw, env, None, findings)
    visible = allowed.environment(env)
    # Their own text instead: an empty one would have further problems.
    refused = {name: f"${{{name}}}" for name in allowed.check_variables(raw, findings)}
    try:
        return _build(raw, visible | refused, allowed, findings)
    except ConfigError as error:
        raise ConfigError(without_values(error.problems, visible)) from None


def _build(
    raw: dict[str, Any], env: Mapping[str, str], allowed: Allowances | None, findings: Findings
) -> Config:
    expanded = expand(raw, env, (), findings)
    if allowed is not None:
        allowed.check_packages(expanded, findings)
    sections = _sections(expanded, findings)
    components = _components(sections, findings, allowed)
    chains = read_chains(sections["chains"], components, findings)
    lists = {name for chain in chains.values() if chain.enabled for name in chain.ingress_lists}
    values: dict[str, Any] = {
        "links": components.links,
        "storages": components.storages,
        "tracers": components.tracers,
        "chains": chains,
        "imports": read_imports(sections["imports"], findings, allowed),
        "access": read_access(sections["api_keys"], sections["ingress_auth"], lists, findings),
        "followers": read_followers(sections["followers"], lists, findings),
    }
    findings.raise_errors()
    return Config(raw=raw, version=_version(raw), warnings=tuple(findings.warnings), **values)


def _components(
    sections: Mapping[str, dict[str, Any]], findings: Findings, allowed: Allowances | None
) -> Components:
    return Components(
        links=read_links(sections["links"], findings, allowed),
        storages=read_storages(sections["storages"], findings, allowed),
        tracers=read_tracers(sections["tracers"], findings, allowed),
        names=sections,
    )


def _sections(document: dict[str, Any], findings: Findings) -> dict[str, dict[str, Any]]:
    """The known sections, an empty one where nothing is given."""
    for name in document:
        if name in SECTIONS or name.startswith("x-"):
            continue
        if nearest(name, SECTIONS):
            findings.unknown((), "section", name, SECTIONS)
        else:
            findings.warn((name,), "is no section of the configuration and ignored", "ignored")
    return {name: _section(name, document.get(name), findings) for name in SECTIONS}


def _section(name: str, value: Any, findings: Findings) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        findings.error((name,), "expected a mapping of names", "wrong_type")
        return {}
    if len(value) > _MOST_NAMES:
        findings.error((name,), f"has more than {_MOST_NAMES} entries", "too_long")
        return {}
    return value


def _version(raw: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(raw, order="sorted")).hexdigest()[:12]
