"""The vCon itself: pure data, no I/O."""
