"""The bounded store of held entries: how much it holds, and which entries give way."""

from dataclasses import dataclass
from random import Random
from threading import Event, Thread

from app.files.held import HeldStore


@dataclass(eq=False)
class Entry:
    weight: int
    asked: bool = False


def _ask(store: HeldStore[int, Entry], key: int, weight: int = 100) -> bool:
    """Do as a request does. Returns True for a hit."""
    entry = store.get(key)
    if entry is not None:
        entry.asked = True
        return True
    store.put(key, Entry(weight))
    return False


def test_never_more_than_the_room() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    choose = Random(1)
    for _ in range(20_000):
        _ask(store, choose.randrange(2000), choose.randrange(1, 900))
        assert store.bytes_held <= 10_000
    held = [entry for key in range(2000) if (entry := store.get(key)) is not None]
    assert len(held) == len(store)
    assert sum(entry.weight for entry in held) == store.bytes_held > 8000


def test_a_scan_of_many_files_leaves_those_that_are_asked_for() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    hot = range(50)  # half of the room
    for _ in range(3):
        for key in hot:
            _ask(store, key)
    hits = 0
    for scanned in range(1000, 101_000):
        _ask(store, scanned)
        hits += _ask(store, scanned % len(hot))
    assert hits > 99_000


def test_new_files_find_room_when_the_old_are_not_asked_for_any_more() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    for _ in range(3):
        for key in range(80):
            _ask(store, key)
    for _ in range(20):
        for key in range(200, 280):
            _ask(store, key)
    assert sum(store.get(key) is not None for key in range(200, 280)) == 80


def test_another_version_takes_the_place() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    store.put(1, Entry(100))
    newer = Entry(300)
    store.put(1, newer)
    assert (store.get(1), store.bytes_held, len(store)) == (newer, 300, 1)


def test_an_entry_that_fills_the_store_alone_is_not_held() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    store.put(1, Entry(100))
    store.put(2, Entry(1001))  # more than a tenth of the room
    assert (store.get(1) is not None, store.get(2)) == (True, None)
    store.put(1, Entry(5000))  # nor does its former version stay
    assert (store.get(1), store.bytes_held) == (None, 0)


def test_at_no_moment_is_none_held_while_another_version_takes_the_place() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    store.put(1, Entry(100))
    done = Event()

    def replace() -> None:
        for weight in range(1, 20_000):
            store.put(1, Entry(weight % 900 + 1))
        done.set()

    thread = Thread(target=replace)
    thread.start()
    missed = 0
    while not done.is_set():
        missed += store.get(1) is None
    thread.join()
    assert missed == 0


def test_clear() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)
    for key in range(10):
        _ask(store, key)
    store.clear()
    assert (len(store), store.bytes_held, store.get(1)) == (0, 0, None)


def test_threads() -> None:
    store: HeldStore[int, Entry] = HeldStore(10_000)

    def work(seed: int) -> None:
        choose = Random(seed)
        for _ in range(5000):
            key = choose.randrange(300)
            _ask(store, key, choose.randrange(1, 500))
            if choose.random() < 0.05:
                store.put(key, Entry(5000))  # too heavy: none is held

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [entry for key in range(300) if (entry := store.get(key)) is not None]
    assert sum(entry.weight for entry in held) == store.bytes_held <= 10_000
