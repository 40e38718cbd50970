"""Installing packages of third parties with pip: resolved once, pinned, then always the same.

What was resolved is kept in a lock file beside the configuration: versions with the hashes of
their files, and commits of repositories. It names no index and holds no credentials.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from vconflow.config.urls import mask_credentials
from vconflow.errors import ConfigError, Problem
from vconflow.packages.declared import Package

__all__ = ["Lock", "Pin", "install", "read_lock", "resolve", "write_lock"]

_COMMIT = re.compile(r"(?P<url>[^#]*?)(?:@(?P<ref>[^@/#]+))?(?P<rest>#.*)?")


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """One distribution: `hashes` of its file as `sha256:…`, or the `commit` of a repository.

    `requirement` is the fingerprint of what the configuration asks for, for a repository only.
    """

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    commit: str = ""
    requirement: str = ""


class Lock(msgspec.Struct, frozen=True):
    """What was resolved, and `wanted`, the fingerprint of what for."""

    wanted: str
    pins: tuple[Pin, ...]


def _fingerprint(requirements: Iterable[str]) -> str:
    """A hash of requirements: they may hold credentials, their hash does not."""
    return hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()


def read_lock(path: Path, packages: Sequence[Package]) -> Lock | None:
    """The lock, None when there is none for these very requirements. Raises ConfigError."""
    if not path.exists():
        return None
    try:
        lock = msgspec.json.decode(path.read_bytes(), type=Lock)
    except (msgspec.DecodeError, OSError) as error:
        message = f"{path} cannot be read ({error}): remove it, and all is resolved anew"
        raise ConfigError([Problem((), message, "lock")]) from None
    return lock if lock.wanted == _fingerprint(it.requirement for it in packages) else None


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the lock file."""
    text = msgspec.json.format(msgspec.json.encode(lock), indent=2)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(text + b"\n")
    temporary.replace(path)


def resolve(packages: Sequence[Package]) -> Lock:
    """Ask the index for versions that fit, beside what is installed. Raises ConfigError."""
    requirements = [it.requirement for it in packages]
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        # Nobody's package may bring other versions of what vconflow itself runs on.
        pinned = (f"{it.name}=={it.version}" for it in distributions() if it.name != "vconflow")
        constraints.write_text("\n".join(pinned))
        _pip(
            ["install", "--dry-run", "--quiet", "--report", str(report)],
            ["--constraint", str(constraints), *requirements],
        )
        found = json.loads(report.read_text())["install"]
    found.sort(key=lambda item: canonicalize_name(item["metadata"]["name"]))
    return Lock(_fingerprint(requirements), tuple(_pin(item, packages) for item in found))


def install(lock: Lock, packages: Sequence[Package]) -> None:
    """Install exactly what the lock names. Raises ConfigError."""
    by_requirement = {_fingerprint([it.requirement]): it.requirement for it in packages}
    from_index = [pin for pin in lock.pins if pin.hashes]
    if from_index:
        lines = (_hashed(pin) for pin in from_index)
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder, "requirements.txt")
            listed.write_text("\n".join(lines))
            _pip(["install", "--quiet", "--no-deps", "--require-hashes"], ["-r", str(listed)])
    for pin in lock.pins:
        if pin.commit:
            at = _at_commit(by_requirement[pin.requirement], pin.commit)
            _pip(["install", "--quiet", "--no-deps"], [at])


def _hashed(pin: Pin) -> str:
    return " ".join([f"{pin.name}=={pin.version}", *(f"--hash={it}" for it in pin.hashes)])


def _pin(item: dict[str, Any], packages: Sequence[Package]) -> Pin:
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    source = item["download_info"]
    if "vcs_info" in source:
        asked = next(it for it in packages if it.is_vcs and source["url"] in _bare(it.requirement))
        commit = source["vcs_info"]["commit_id"]
        return Pin(name, version, commit=commit, requirement=_fingerprint([asked.requirement]))
    hashes = source.get("archive_info", {}).get("hashes", {})
    if "sha256" not in hashes:
        message = f"{name} comes without a hash: name a version of an index, or a repository"
        raise ConfigError([Problem((), message, "unpinned")])
    return Pin(name, version, hashes=(f"sha256:{hashes['sha256']}",))


def _bare(requirement: str) -> str:
    """A requirement without the credentials of its URL, which pip's report leaves out too."""
    return re.sub(r"(://)[^/@]*@", r"\1", requirement)


def _at_commit(requirement: str, commit: str) -> str:
    found = _COMMIT.fullmatch(requirement)
    assert found is not None  # everything is optional but the URL
    return f"{found['url']}@{commit}{found['rest'] or ''}"


def _pip(options: Sequence[str], arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", *options, "--disable-pip-version-check"]
    ended = subprocess.run(
        [*command, "--no-input", *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        # pip masks the passwords of URLs in what it says, but not user names, where tokens stand.
        words = mask_credentials(ended.stderr or ended.stdout).strip()
        raise ConfigError([Problem((), f"pip: {words[-2000:]}", "pip")])
