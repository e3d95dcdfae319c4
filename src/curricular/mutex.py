"""Who is inside a function right now: what tells a lock that is in use from one that an interrupt left taken."""

import sys
import threading
from collections.abc import Collection
from types import CodeType, FrameType


def is_inside(codes: Collection[CodeType], owner: object, *, thread: int | None = None, skip: int = 0) -> bool:
    """Returns whether a thread is executing one of the methods `codes` of the object `owner`.

    A lock is taken and released within one function. If the lock is taken and no thread is inside the function, then
    an exception raised by a signal handler came between the two.

    Args:
        codes: Code objects of methods of `owner`.
        owner: The object whose methods are looked for.
        thread: Identifier of the only thread to look at; None: all threads.
        skip: How many of the caller's innermost such frames do not count.
    """
    here = threading.get_ident()
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  the documented way to see other threads' stacks
        if thread in {None, ident}:
            found = sum(_is_of(at, codes, owner) for at in _stack(frame))
            if found > (skip if ident == here else 0):
                return True
    return False


def _stack(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_of(frame: FrameType, codes: Collection[CodeType], owner: object) -> bool:
    return frame.f_code in codes and frame.f_locals.get("self") is owner
