"""Threads that do something again and again while a test does something else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(work: Callable[[Callable[[], bool]], object], number: int) -> Iterator[None]:
    """Run *work* in *number* threads; it is to return once the function that it is given says True."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop.is_set,)) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
