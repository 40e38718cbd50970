"""Running the benchmarks as a user does."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["python"]

ROOT = Path(__file__).parents[2]


def python(*arguments: str, timeout: float = 120, **environment: str) -> str:
    """What `python ARGUMENTS` prints in the repository's folder; it has to end well."""
    # Counting lines would cost more than what is measured.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    ended = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
