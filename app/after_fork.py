"""What a forked child begins anew: the one place where this program hears of a fork.

A fork copies a lock that another thread holds, and that thread is not in the child: the lock would
stay locked for good. Whatever has a lock, a thread or a descriptor that belongs to one process
registers here, and begins anew in each child.
"""

import os
import sys
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    def begin_in_child(self) -> None:
        """Drop what belongs to the parent. Called in a forked child before any of its own code."""


_registered: WeakSet[Forkable] = WeakSet()
_has_forked = False


def register(thing: Forkable) -> None:
    """Call *thing*'s `begin_in_child` in each child that is forked while *thing* lives."""
    _registered.add(thing)


def has_forked() -> bool:
    """Return whether a child of this process may have copies of its descriptors.

    Programs that are executed have none: they are closed at that moment.
    """
    return _has_forked


def _note_fork() -> None:
    global _has_forked
    _has_forked = True


def _begin_in_child() -> None:
    global _has_forked
    _has_forked = False
    for thing in list(_registered):
        try:
            thing.begin_in_child()
        except Exception:  # noqa: BLE001 - the others begin all the same
            sys.excepthook(*sys.exc_info())


os.register_at_fork(after_in_parent=_note_fork, after_in_child=_begin_in_child)
