"""Locks that let threads take turns, and that recover when an exception interrupts their release."""

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Collection
from types import CodeType, FrameType, FunctionType


class Turns:
    """A lock that each method of an object holds during a call.

    The body of a method is a ``with turns.take(self):`` block: no signal handler runs between taking the lock and
    entering the block. A method that holds the lock never calls another method that takes it.

    Args:
        cls: The class of the object.
    """

    def __init__(self, cls: type) -> None:
        self.lock: threading.Lock = threading.Lock()
        self._cls = cls
        _turns.add(self)

    def take(self, owner: object) -> threading.Lock:
        """Returns the lock for a ``with`` statement in a method of `owner`. The statement may have to wait for it.

        Raises:
            ReentrantCallError: As `wait` does.
        """
        if self.lock.locked():
            self.wait(owner)
        return self.lock

    def wait(self, owner: object) -> None:
        """Checks that the lock can be taken, and releases it if an exception has left it taken.

        Raises:
            ReentrantCallError: If this thread is already inside a call of `owner`, and would wait for itself.
        """
        methods = [method.__code__ for method in vars(self._cls).values() if isinstance(method, FunctionType)]
        if is_inside(methods, owner, thread=threading.get_ident(), skip=1):
            raise ReentrantCallError(
                f"{self._cls.__name__.lower()}: expected one call at a time, got a call during another call, from a "
                f"signal handler, a generator, a proposer or an algorithm; in a handler set a flag or raise "
                f"SystemExit, and save where the training loop ends"
            )
        if not is_inside(methods, owner, skip=1):
            with contextlib.suppress(RuntimeError):
                self.lock.release()  # an exception came between taking the lock and entering the block

    def after_fork(self) -> None:
        """Replaces the lock in a forked child, because a thread of the parent may have held it."""
        self.lock = threading.Lock()


class ReentrantCallError(RuntimeError):
    """A signal handler, generator, proposer or algorithm called the curriculum during another call."""


def is_inside(codes: Collection[CodeType], owner: object, *, thread: int | None = None, skip: int = 0) -> bool:
    """Returns whether a thread is inside a call of one of the methods `codes` of `owner`.

    A method takes and releases its lock within one call. A lock that is taken while no thread is inside a call was left
    behind by an exception from a signal handler. Methods that call each other directly count as one call.

    Args:
        codes: Code objects of methods of `owner`.
        owner: The object whose methods are looked for.
        thread: Identifier of the only thread to inspect. None inspects all threads.
        skip: Number of innermost calls of the calling thread to ignore.
    """
    here = threading.get_ident()
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  the documented way to see other threads' stacks
        if thread in {None, ident} and _num_calls(frame, codes, owner) > (skip if ident == here else 0):
            return True
    return False


def _num_calls(frame: FrameType | None, codes: Collection[CodeType], owner: object) -> int:
    num_calls, was_inside = 0, False
    while frame is not None:
        is_one = frame.f_code in codes and frame.f_locals.get("self") is owner
        num_calls += is_one and not was_inside
        was_inside = is_one
        frame = frame.f_back
    return num_calls


_turns: weakref.WeakSet[Turns] = weakref.WeakSet()
"""The `Turns` objects of this process, which `_after_fork` resets."""


def _after_fork() -> None:
    for turns in list(_turns):
        turns.after_fork()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
