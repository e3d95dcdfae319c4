"""Calls of several threads take turns, and an exception between two lines leaves no lock taken for good."""

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Collection
from types import CodeType, FrameType, FunctionType


class Turns:
    """The lock that the methods of an object take, each for the length of a call.

    A method's body is a ``with turns.take(self):``, where no signal handler can come between taking the lock and the
    block. Methods that hold the lock call no others that do.

    Args:
        cls: The class of the object.
    """

    def __init__(self, cls: type) -> None:
        self.lock: threading.Lock = threading.Lock()
        self._cls = cls
        _turns.add(self)

    def take(self, owner: object) -> threading.Lock:
        """Returns the lock, free or to be waited for, for a ``with`` statement in a method of `owner`.

        Raises:
            ReentrantCallError: As `wait` does.
        """
        if self.lock.locked():
            self.wait(owner)
        return self.lock

    def wait(self, owner: object) -> None:
        """Returns when the lock is free or another thread has it.

        Raises:
            ReentrantCallError: If this thread is inside a call of `owner` already, and so would wait for itself.
        """
        methods = [method.__code__ for method in vars(self._cls).values() if isinstance(method, FunctionType)]
        if is_inside(methods, owner, thread=threading.get_ident(), skip=1):
            raise ReentrantCallError(
                f"{self._cls.__name__.lower()}: expected one call at a time, got one in the middle of another, from a "
                f"signal handler, a generator, a proposer or an algorithm; in a handler set a flag or raise "
                f"SystemExit, and save where the training loop ends"
            )
        if not is_inside(methods, owner, skip=1):
            with contextlib.suppress(RuntimeError):
                self.lock.release()  # left taken by an exception between two lines

    def after_fork(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self.lock = threading.Lock()


class ReentrantCallError(RuntimeError):
    """A call came in the middle of another one: from a signal handler, or from a generator, proposer or algorithm."""


def is_inside(codes: Collection[CodeType], owner: object, *, thread: int | None = None, skip: int = 0) -> bool:
    """Returns whether a thread is executing a call of one of the methods `codes` of the object `owner`.

    A lock is taken and released within a call. If the lock is taken and no thread is inside a call, then an exception
    raised by a signal handler came between the two. Methods that call each other directly are one call.

    Args:
        codes: Code objects of methods of `owner`.
        owner: The object whose methods are looked for.
        thread: Identifier of the only thread to look at; None: all threads.
        skip: How many of the caller's innermost calls do not count.
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
"""Those of this process, to be told of a fork."""


def _after_fork() -> None:
    for turns in list(_turns):
        turns.after_fork()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
