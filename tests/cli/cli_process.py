"""Running the command line as a process of its own, the way users do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY = "vconflow ready on "
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class Process:
    """A running command; its output goes to files."""

    def __init__(self, process: "subprocess.Popen[bytes]", stdout: Path, stderr: Path) -> None:
        self._process = process
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def peak_memory(self) -> int:
        """The most bytes that were resident at any time."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def url(self) -> str:
        """Wait for the ready line and return the address in it."""
        self.wait_for(READY)
        return next(line for line in self.stdout.splitlines() if line.startswith(READY)).split()[-1]

    def wait_for(self, text: str) -> None:
        """Wait until the command has printed a text."""
        deadline = time.monotonic() + START_SECONDS
        while text not in self.stdout:
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = f"ended with {self._process.returncode}" if ended else "still running"
                raise AssertionError(f"no {text!r}, {state}:\n{self.stdout}\n{self.stderr}")
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS)

    def wait(self) -> int:
        """Return the exit code of a command that ends by itself."""
        return self._process.wait(START_SECONDS)

    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment less what configures vconflow."""
    ours = ("VCONFLOW_", "VCON_", "CONSERVER_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for name in ("REDIS_URL", "LOG_LEVEL", "API_ROOT_PATH"):
        env.pop(name, None)
    paths = [str(ROOT / "src"), *filter(None, [env.get("PYTHONPATH")])]
    return env | {"PYTHONPATH": os.pathsep.join(paths)} | dict(extra or {})


@contextmanager
def vconflow(
    cwd: Path, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Run `vconflow ARGUMENTS` in a folder until the context ends."""
    command = [sys.executable, "-m", "vconflow", *map(str, arguments)]
    with running(command, cwd, environment(env)) as process:
        yield process


@contextmanager
def running(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Iterator[Process]:
    """Run a command in a folder until the context ends."""
    outputs = cwd / "stdout.txt", cwd / "stderr.txt"
    with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    started = Process(process, *outputs)
    try:
        yield started
    finally:
        if process.poll() is None:
            started.stop()
