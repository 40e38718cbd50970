"""Processes that do not outlive the one that started them, however that ends."""

import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["tied_to_us"]

# Becomes the program by execv. Not a `preexec_fn`: that one may deadlock on a lock held by another
# thread at the fork. The kernel sends the signal when the thread that started it is gone.
_TIE_TO_PARENT = """
import ctypes, os, sys
parent, number, umask, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, number)
if os.getppid() != parent:
    sys.exit("the parent is gone")
if umask:
    os.umask(int(umask, 8))
os.execv(program[0], program)
"""


def tied_to_us(
    program: Sequence[str], number: signal.Signals, *, umask: int | None = None
) -> list[str]:
    """The command that runs a program, by its path, which gets signal `number` when we are gone.

    Only Linux can do that. It is the end of the thread that starts it that counts.
    """
    mask = "" if umask is None else f"{umask:o}"
    here = (sys.executable, "-I", "-S", "-c", _TIE_TO_PARENT, str(os.getpid()))
    return [*here, str(int(number)), mask, *program]
