"""Finds modules as users of the reference write them, and the helpers that start processes."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "e2e"))
sys.path.append(str(HERE / "theirs"))
