"""`make run` on a fresh machine: with Python, and nothing that serving does not need."""

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cli_process import ROOT, environment, running

SOURCES = ("Makefile", "LICENSE", "README.md", "pyproject.toml", "requirements.lock", "src")
SETUP_SECONDS = 900


def test_make_run_needs_python_alone(tmp_path: Path) -> None:
    for name in SOURCES:
        source, copy = ROOT / name, tmp_path / name
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    env = environment()
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    python = f"PYTHON={sys.executable}"
    make = subprocess.run(
        ["make", "setup-run", python], cwd=tmp_path, env=env, timeout=SETUP_SECONDS, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert make.returncode == 0, make.stdout + make.stderr
    with running(["make", "run", python, "ARGS=--port 0"], tmp_path, env) as process:
        process.wait_for("Ctrl-C stops the server")
        url = process.url()
        assert "24 on finished" in process.stdout
        assert httpx.get(f"{url}/vcon?size=50").json()
        process.stop()
    with pytest.raises(httpx.TransportError):
        httpx.get(url)
    (packages,) = (tmp_path / ".venv/lib").glob("python*/site-packages")
    assert (packages / "starlette").is_dir()
    assert not [name for name in ("pytest", "openai", "numpy") if (packages / name).exists()]
