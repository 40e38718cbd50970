"""Where an error came from, short enough to be kept with a dead letter."""

from traceback import walk_tb

__all__ = ["trimmed_traceback"]

_FRAMES = 8
_CAUSES = 4


def trimmed_traceback(error: BaseException) -> str:
    """The innermost frames of an error and of what caused it, the first cause on top.

    Modules, lines and types only: messages and values may quote a conversation or a credential.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _CAUSES:
        parts.append("\n".join([*_frames(cause), type(cause).__name__]))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\nwhich caused\n".join(reversed(parts))


def _frames(error: BaseException) -> list[str]:
    return [
        f"  {frame.f_globals.get('__name__', '?')}:{line} in {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ][-_FRAMES:]
