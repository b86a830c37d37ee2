"""Answers of several requests that go out together, and work that their application leaves undone
until then, as a database does in a group commit.

An application says by its attribute `answers_together_from` from how many requests at the same time
on its answers may wait for each other. Then it finds an empty list in its environ, under
`BEFORE_ANSWER`. It may append a function, and what the function is to be given, and return its
answer. Before any byte of the answer goes out, the server calls the function once with what several
requests have left for it. Without the list the application does its work itself.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

BEFORE_ANSWER = "tally.before_answer"

#: A function, and what one request has left for it.
Work: TypeAlias = tuple[Callable[[list[Any]], object], Any]


def answers_together_from(application: object) -> int:
    """Return from how many requests on answers of *application* may wait; 0: never."""
    number = getattr(application, "answers_together_from", 0)
    return number if isinstance(number, int) else 0


def do_together(work: Iterable[Work]) -> None:
    """Call each function once, with all that was left for it, in order."""
    by_function: dict[Callable[[list[Any]], object], list[Any]] = {}
    for function, item in work:
        items = by_function.get(function)
        if items is None:
            items = by_function[function] = []
        items.append(item)
    for function, items in by_function.items():
        function(items)
