"""The garbage collector of a process that serves."""

import gc

__all__ = ["keep_what_is_there"]

_NEW_OBJECTS = 10_000


def keep_what_is_there() -> None:
    """Have the collector look no more at what is there now, and seldom at what comes.

    What a start leaves is needed to the end, and a vCon on its way leaves no circles behind.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
