"""The packages of third parties that a configuration file names by `pip_name`.

They are installed by `vconflow install` and by nothing else: no request to the API, no change of
the configuration in flight and no start of the server ever installs anything.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from vconflow.config.expansion import expand
from vconflow.config.findings import Findings
from vconflow.config.loading import read_text
from vconflow.config.urls import mask_credentials
from vconflow.config.yaml_source import read_yaml

__all__ = ["Package", "missing", "read_packages", "wanted"]

_SECTIONS = ("imports", "links", "storages", "tracers")
_VCS = re.compile(r"(git|hg|svn|bzr)\+")


@dataclass(frozen=True)
class Package:
    """One package: where the file names it, what is imported of it, and what pip is to install."""

    place: str
    module: str
    requirement: str

    @property
    def shown(self) -> str:
        """The requirement without the credentials that a git URL may carry."""
        return mask_credentials(self.requirement)

    @property
    def is_vcs(self) -> bool:
        """Whether it comes from a repository instead of a package index."""
        return _VCS.search(self.requirement) is not None


def read_packages(path: Path, env: Mapping[str, str]) -> list[Package]:
    """The packages that a configuration file names. Raises ConfigError.

    Nothing else of the file is checked: what it names may not be importable yet.
    """
    findings = Findings()
    document = expand(read_yaml(read_text(path)), env, (), findings)
    findings.raise_errors()
    return wanted(document if isinstance(document, Mapping) else {})


def wanted(document: Mapping[str, Any]) -> list[Package]:
    """Every `pip_name` of a configuration whose `${NAME}`s are expanded, each requirement once.

    Raises ConfigError with every one that is no requirement.
    """
    findings = Findings()
    packages: dict[str, Package] = {}
    for package in _named(document):
        place = tuple(package.place.split("."))
        if complaint := _complaint(package.requirement):
            findings.error(place, complaint, "bad_requirement")
        packages.setdefault(package.requirement, package)
    findings.raise_errors()
    return list(packages.values())


def missing(packages: list[Package]) -> list[Package]:
    """Those whose module cannot be imported here. Imports nothing."""
    return [it for it in packages if importlib.util.find_spec(_top(it.module)) is None]


def _named(document: Mapping[str, Any]) -> Iterator[Package]:
    for section in _SECTIONS:
        components = document.get(section)
        for name, raw in components.items() if isinstance(components, Mapping) else ():
            if isinstance(raw, Mapping) and isinstance(raw.get("pip_name"), str):
                place = f"{section}.{name}.pip_name"
                yield Package(place, str(raw.get("module", name)), raw["pip_name"].strip())


def _top(module: str) -> str:
    """The outermost package: looking for an inner one would import those around it."""
    return module.partition(":")[0].partition(".")[0]


def _complaint(text: str) -> str:
    if not text or text.startswith("-") or any(ord(character) < 32 for character in text):
        return "is no requirement that pip could install"
    if _VCS.match(text):
        return ""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return "is no requirement: expected a name with versions (pkg>=1.2), or git+https://…"
    own = canonicalize_name(requirement.name) == "vconflow"
    return "vconflow cannot replace itself" if own else ""
