"""The image: its commands run here, in a folder instead of a container."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploy_files import ROOT, image


def copied(folder: Path) -> None:
    """Do what COPY does, with what .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    sources = [
        name
        for arguments in image()["COPY"]
        if not arguments.startswith("--from")
        for name in arguments.split()[:-1]
    ]
    assert set(sources) == allowed
    for name in sources:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)


def do(command: str, folder: Path, environment: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command of the Dockerfile with the uv that `make setup` installs."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = dict(os.environ) | {"PATH": path, "VIRTUAL_ENV": str(environment)}
    return subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    copied(folder)
    return folder


def commands() -> tuple[str, str]:
    """What installs the dependencies, and what installs vconflow."""
    _, dependencies, package, _ = image()["RUN"]
    return dependencies, package


def test_it_installs_vconflow_with_what_it_needs_and_nothing_else(
    tmp_path: Path, context: Path
) -> None:
    environment = tmp_path / "environment"
    for command in commands():
        done = do(command, context, environment)
        assert done.returncode == 0, done.stderr
    names = {path.name for path in environment.glob("lib/python3*/site-packages/*")}
    assert {"asyncpg", "joserfc", "uvloop", "vconflow"} <= names
    assert names & {"pytest", "mypy", "hypothesis", "kubernetes_validate"} == set()
    said = do('"$VIRTUAL_ENV/bin/vconflow" serve --help', tmp_path, environment)
    assert said.returncode == 0, said.stderr


def test_it_installs_nothing_without_a_hash_of_the_lock(tmp_path: Path, context: Path) -> None:
    lock = context / "requirements.lock"
    text, count = re.subn(
        r"(?m)^(structlog==\S+) \\\n(?:    --hash=.*\n)+", r"\1\n", lock.read_text()
    )
    assert count == 1
    lock.write_text(text)
    done = do(commands()[0], context, tmp_path / "environment")
    assert done.returncode != 0
    assert "structlog" in done.stderr
