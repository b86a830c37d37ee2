"""Lists that are made ahead say what every file has, as of when they were read, and no longer than
that is true.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from threading import Event

import pytest
import redis

from app.counters.contract import CLASSES, Class
from app.counters.periods import Period, Unit, first_day_of, month_of
from app.counters.reading import ORDERS, DirectoryAnswer, Order, Ranking
from app.counters.redis import kept_answers, list_making, month_making, ready_lists
from app.counters.redis import scripts as script
from app.counters.redis.columns import Sum, packed, packed_lanes, unpacked
from app.counters.redis.days_at_hand import TooManyDaysError
from app.counters.redis.entries import Entry, count_entry
from app.counters.redis.list_making import EndedError, Making
from app.counters.redis.month_columns import SIZE
from app.counters.redis.month_making import MonthMaking
from app.counters.redis.server import RemoteRefusedError, Server
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.redis_server import RedisServer
from tests.counters.test_redis_packing import pack_now_and_then

#: These compute for seconds; on a machine that is busy with others for a minute and more.
pytestmark = pytest.mark.timeout(180)

DAY = 86400
TODAY = 20_777
NOW = TODAY * DAY + 5000
SOME_CLASSES: list[frozenset[Class] | None] = [
    None,
    frozenset(["people"]),
    frozenset(["tools", "robots"]),
]
#: Of the days before today, at the borders of months and within, and of none.
MONTH = month_of(TODAY)
PERIODS = [
    None,
    *(Period(TODAY - days + 1, TODAY) for days in (1, 2, 7, 14, 30, 45, 90, 180, 365)),
    *(Period(first_day_of(MONTH - n), first_day_of(MONTH - n + 1) - 1) for n in (0, 1, 5)),
    Period(first_day_of(MONTH - 2) + 3, first_day_of(MONTH - 2) + 11),
    Period(first_day_of(MONTH - 3) + 15, first_day_of(MONTH - 1) + 15),
    Period(first_day_of(MONTH - 4), first_day_of(MONTH - 3)),
    Period(first_day_of(MONTH - 4) - 1, first_day_of(MONTH - 4) + 29),
    Period(TODAY - 50, TODAY - 50),
    Period(TODAY - 3, TODAY - 2),
    Period(0, TODAY - 100),
    Period(0, TODAY + 1000),
    Period(0, 100),
    Period(TODAY + 1, TODAY + 40),
]
#: In milliseconds: how long columns are kept at first, and how long when lists need them.
AT_FIRST, A_DAY = 600_000, 86_400_000
#: So many times as long as usual lists are kept, and who makes them need not say so: longer than a
#: test may take, however long the machine stands still. Redis's clock is not to be set.
LONGER = 10
#: In milliseconds: for how long a test says that another makes lists; less than that.
A_WHILE = 199_999
#: A file's accesses on a day, by class and then those that were completed, their bytes, and how many
#: clients there were.
Day = Counter[str]


def open_store(server: RedisServer, at: int, kept_seconds: float) -> RedisStore:
    return RedisStore(server.url, timeout=5.0, clock=lambda: at, kept_seconds=kept_seconds)


@pytest.fixture
def writer(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisStore]:
    """Counts, makes lists ahead of ever so few files, and reads what there is now."""
    monkeypatch.setattr(ready_lists, "MANY_FILES", 1)
    for module, name in (
        (ready_lists, "_SOONEST_SECONDS"),
        (ready_lists, "ALIVE_SECONDS"),
        (list_making, "ALIVE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, LONGER * getattr(module, name))
    opened = open_store(redis_server, NOW, 0)
    opened.check()
    yield opened
    opened.close()


@pytest.fixture
def reader(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisStore]:
    """A process that has not looked yet, some time later, and makes nothing in the background."""
    monkeypatch.setattr(kept_answers, "_LOOK_SECONDS", 3600)
    opened = open_store(redis_server, NOW + 60, 3600)
    yield opened
    opened.close()


def fill(store: RedisStore) -> dict[str, dict[int, Day]]:
    """Count on days that are packed, in texts, and in records; return what was counted.

    Some files come only after the packing, some days late, and some files are forgotten.
    """
    dice = random.Random(1)
    counted: dict[str, dict[int, Day]] = {}
    entries: list[Entry] = []

    def count_some(days: Iterable[int], files: Sequence[str], *, late: bool = False) -> None:
        for day in sorted(days):
            path, class_ = dice.choice(files), dice.choice(CLASSES)
            sent = dice.choice((0, 7, 1000, 1 << 40))
            client = None if late or dice.randrange(2) else dice.randbytes(8)
            at = day * DAY + dice.randrange(5000)
            entries.append(
                count_entry(path, "full", class_, sent, sent in (7, 1000), client, 0, at)
            )
            found = counted.setdefault(path, {}).setdefault(day, Counter())
            found.update({class_: 1, "accesses": 1, "sent_bytes": sent})
            found.update({"completed": sent in (7, 1000), "clients": client is not None})
        for begin in range(0, len(entries), 500):
            store.apply(f"{dice.random()}", 1, entries[begin : begin + 500])
        entries.clear()

    files = [f"/d{dice.randrange(3)}/{dice.randrange(200)}" for _ in range(170)]
    gone = [f"/gone/{number}" for number in range(20)]
    count_some((TODAY - int(dice.expovariate(1 / 90)) for _ in range(3000)), files + gone)
    assert store._packing.pack(TODAY - 2)
    late = [TODAY - dice.randrange(400) for _ in range(40)]
    count_some(late, [*files[:10], *(f"/late/{number}" for number in range(9))], late=True)
    count_some([TODAY] * 150, files)
    store.reset(gone)
    return {path: days for path, days in counted.items() if path not in gone}


def ranked(
    counted: dict[str, dict[int, Day]],
    order: str,
    period: Period | None,
    classes: frozenset[Class] | None,
) -> list[tuple[str, Day]]:
    """Return which files are to be listed, in order, with what they counted in the period."""
    found: dict[str, Day] = {}
    values: dict[str, float] = {}
    for path, days in counted.items():
        total: Day = Counter()
        for day, numbers in days.items():
            if period is None or period.first <= day <= period.last:
                total.update(numbers)
        times = total["accesses"] if classes is None else sum(total[each] for each in classes)
        if times:
            found[path] = total
            number = total[{"bytes": "sent_bytes"}.get(order, order)]
            values[path] = times if order == "accesses" else number
    return sorted(found.items(), key=lambda item: (-values[item[0]], item[0]))


def count(store: RedisStore, number: int, path: str = "/new") -> None:
    store.apply("later", number, [count_entry(path, "full", "people", 7, True, None, 0, NOW)])


def shown(answer: Ranking | DirectoryAnswer) -> object:
    """Return what an answer says but for when it is of."""
    return replace(answer, as_of=0)


@pytest.fixture
def made(writer: RedisStore) -> dict[str, dict[int, Day]]:
    counted = fill(writer)
    writer.make_lists(Event())
    return counted


@pytest.mark.parametrize("order", ORDERS)
def test_they_are_what_was_counted(
    made: dict[str, dict[int, Day]], writer: RedisStore, reader: RedisStore, order: Order
) -> None:
    for period, classes in product(PERIODS, SOME_CLASSES):
        if (order, period, classes) == ("accesses", None, None):
            continue
        question = (order, period, "", "", 20, classes)
        found = reader.ranked(*question)
        assert found.as_of == NOW, "when it was read"
        assert shown(found) == shown(writer.ranked(*question)), question
        if order in ("first", "last"):
            continue
        expected = ranked(made, order, period, classes)
        assert found.matched == len(expected)
        assert [row.path for row in found.rows] == [path for path, _ in expected[:20]], question
        for row, (_, numbers) in zip(found.rows, expected, strict=False):
            assert {name: row.tally[name] for name in numbers if name != "people"} == {
                name: number for name, number in numbers.items() if name != "people"
            }, question


def test_pages_of_a_period_hold_every_file_once(
    made: dict[str, dict[int, Day]], writer: RedisStore, reader: RedisStore
) -> None:
    period = Period(TODAY - 60, TODAY - 9)
    rows: list[str] = []
    after = ""
    while after or not rows:
        page = reader.ranked("bytes", period, after=after, limit=7)
        assert page.as_of == NOW
        rows += [row.path for row in page.rows]
        after = page.next
        count(writer, len(rows), "/d1/1")
    assert rows == [path for path, _ in ranked(made, "bytes", period, None)]
    assert page.matched == len(rows)


@pytest.mark.parametrize("unit", ["day", "month"])
def test_rows_whose_days_are_packed_meanwhile(
    made: dict[str, dict[int, Day]], writer: RedisStore, unit: Unit
) -> None:
    """The last month can no longer be read as a whole."""
    reader = writer._reader
    site, period = reader.read().site, Period(TODAY - 70, TODAY - 6)
    assert site.packed_before == TODAY - 2
    paths = [path for path, _ in ranked(made, "accesses", period, None)[:25]]
    before = reader._files_of_rows(paths, period, unit, site._replace(packed_before=TODAY - 8))
    assert before == reader._files_of_rows(paths, period, unit, site)
    assert [file and Tally(file.over(period)).accesses for file in before] == [
        sum(day["accesses"] for at, day in made[path].items() if period.first <= at <= period.last)
        for path in paths
    ]


def test_directories_are_ready(writer: RedisStore, reader: RedisStore) -> None:
    fill(writer)
    writer.make_lists(Event())
    wanted = writer.directory("/d1/")
    count(writer, 1, "/d1/new")
    assert reader.directory("/d1/") == wanted


def test_who_goes_on_looking_gets_one_that_was_just_read(
    writer: RedisStore, reader: RedisStore
) -> None:
    fill(writer)
    writer.make_lists(Event())
    count(writer, 1)
    found = reader.ranked("bytes", match="/new")
    assert (found.matched, found.as_of) == (0, NOW)
    kept = reader._reader._kept
    for key, answer in list(kept._kept.items()):
        assert answer.is_due(answer.made, 3600)
        kept._make_anew(key, answer)
        assert not answer.is_due(answer.made, 3600)
    found = reader.ranked("bytes", match="/new")
    assert (found.matched, found.as_of) == (1, NOW + 60)


@pytest.mark.parametrize("paths", [None, ["/d1/1"]])
def test_a_reset_forgets_them(
    writer: RedisStore, reader: RedisStore, paths: list[str] | None
) -> None:
    fill(writer)
    writer.make_lists(Event())
    writer.reset(paths)
    assert bool(columns(writer)) == (paths is not None)
    assert shown(reader.ranked("bytes")) == shown(writer.ranked("bytes"))


@pytest.mark.parametrize(
    "about", ["", "7", '"text"', "[]", '{"months":7}', '{"format":3,"months":{"24000":{"is":7}}}']
)
def test_a_reset_does_not_read_lists_of_another_format(
    made: dict[str, dict[int, Day]], writer: RedisStore, about: str
) -> None:
    writer._server.patient.hset(script.LISTS, script.LISTS_ABOUT, about)
    kept = columns(writer)
    writer.reset()
    assert writer.totals().files == 0
    assert columns(writer) == kept, "they expire"


@pytest.mark.parametrize("what", ["a reset", "an empty server"])
@pytest.mark.parametrize(
    ("maker", "step"), [(Making, "_of_days"), (MonthMaking, "make"), (MonthMaking, "_read")]
)
def test_what_goes_while_they_are_made(
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
    maker: type,
    step: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(writer)
    do = getattr(maker, step)

    def and_then(*arguments: object) -> object:
        done = do(*arguments)
        if what == "a reset":
            writer.reset()
        else:
            redis_server.ask("FLUSHALL")
        return done

    monkeypatch.setattr(maker, step, and_then)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS) == b":0\r\n"
    are_left = what == "a reset" and step == "make"
    assert bool(times_left(writer)) == are_left
    assert all(0 < left <= AT_FIRST for left in times_left(writer))
    assert reader.ranked("bytes").matched == 0


@pytest.mark.parametrize(
    ("maker", "step"), [(Making, "_of_days"), (MonthMaking, "make"), (MonthMaking, "_read")]
)
def test_nothing_is_kept_when_days_are_packed_meanwhile(
    writer: RedisStore,
    redis_server: RedisServer,
    maker: type,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(writer)
    do = getattr(maker, step)

    def after_packing(*arguments: object) -> object:
        assert writer._packing.pack(TODAY - 1)
        return do(*arguments)

    monkeypatch.setattr(maker, step, after_packing)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS) == b":0\r\n"
    assert all(0 < left <= AT_FIRST for left in times_left(writer))


def make_again(writer: RedisStore, redis_server: RedisServer) -> None:
    redis_server.ask("DEL", script.MAKING)
    writer.make_lists(Event())


def columns(writer: RedisStore) -> set[bytes]:
    return set(writer._server.ask(writer._server.patient, "KEYS", f"{script.COLUMNS}*"))


def times_left(writer: RedisStore) -> list[int]:
    """Return the milliseconds after which each of the columns is forgotten."""
    ask, patient = writer._server.ask, writer._server.patient
    return [ask(patient, "PTTL", key) for key in columns(writer)]


def test_columns_are_kept_when_lists_need_them(
    made: dict[str, dict[int, Day]],
    writer: RedisStore,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def give_up(*_: object) -> None:
        raise EndedError

    def make_in_vain() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Making, "keep", give_up)
            make_again(writer, redis_server)

    kept = columns(writer)
    assert kept
    make_in_vain()
    assert all(AT_FIRST < left <= A_DAY for left in times_left(writer)), "there are lists of them"
    for key in kept:
        writer._server.ask(writer._server.patient, "PEXPIRE", key, "300000")
    make_in_vain()
    assert all(300_000 < left <= AT_FIRST for left in times_left(writer)), "until a making ends"
    make_again(writer, redis_server)
    assert columns(writer) == kept
    assert all(AT_FIRST < left <= A_DAY for left in times_left(writer))


def test_columns_are_made_of_months_that_have_changed(
    made: dict[str, dict[int, Day]],
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
) -> None:
    before = columns(writer)
    period = Period(TODAY - 40, TODAY - 1)
    shown_before = shown(reader.ranked("bytes", period))
    assert writer._packing.pack(TODAY - 1)
    reader._reader._kept.forget()
    found = reader.ranked("bytes", period)
    assert (shown(found), found.as_of) == (shown_before, NOW), "all is as of one moment"
    make_again(writer, redis_server)
    new = columns(writer) - before
    # Those who counted late counted in some months.
    changed = {path.split(b":")[2] for path in new}
    assert str(MONTH).encode() in changed
    assert len(changed) < len(before)
    assert len(new) == len(changed)
    for path in before:
        its_time = int(redis_server.ask("PTTL", path.decode())[1:])
        assert (its_time <= 60_000) == (path.split(b":")[2] in changed)
    reader._reader._kept.forget()
    assert shown(reader.ranked("bytes", period)) == shown(writer.ranked("bytes", period))
    make_again(writer, redis_server)
    assert columns(writer) - before == new


def test_columns_that_are_gone_are_made_again(
    made: dict[str, dict[int, Day]],
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
) -> None:
    kept = columns(writer)
    redis_server.ask("UNLINK", *(path.decode() for path in kept))
    period = Period(TODAY - 40, TODAY - 8)
    found = reader.ranked("bytes", period)
    assert (shown(found), found.as_of) == (shown(writer.ranked("bytes", period)), NOW + 60), "read"
    make_again(writer, redis_server)
    assert columns(writer) == kept
    reader._reader._kept.forget()
    assert reader.ranked("bytes", period).as_of == NOW


def test_who_was_held_up_leaves_them_to_others(
    writer: RedisStore, redis_server: RedisServer
) -> None:
    """Another has begun meanwhile, and writes the same hash."""
    fields = [(str(number), b"x" * number) for number in range(11)]
    first, second = (Making(writer._server, token, Event()) for token in ("first", "second"))
    redis_server.ask("SET", script.MAKING, "first", "PX", str(A_WHILE))

    def one_after_the_other(making: Making, begin: int, end: int) -> object:
        words = [word for field in fields[begin:end] for word in field]
        named = [making._token, script.LISTS, str(len(fields)), str(A_WHILE)]
        return writer._server.run(writer._server.patient, script.KEEP_LISTS, [*named, *words])

    assert one_after_the_other(first, 0, 4) == 1
    left = int(redis_server.ask("PTTL", "{tally}:lists-parts:first")[1:])
    assert 60_000 < left <= A_WHILE, "as long as it may become whole"
    redis_server.ask("SET", script.MAKING, "second", "PX", str(A_WHILE))
    assert one_after_the_other(second, 4, 11) == 1
    assert one_after_the_other(first, 4, 11) == 0
    with pytest.raises(EndedError):
        first.keep(script.LISTS, fields, 199)
    with pytest.raises(EndedError):
        first.go_on()
    assert not first.stay(0)
    assert 0 < int(redis_server.ask("PTTL", script.MAKING)[1:]) <= A_WHILE, "the second's time"
    second.go_on()
    assert redis_server.ask("EXISTS", script.LISTS) == b":0\r\n", "parts of two make no whole"
    second.keep(script.LISTS, fields, 199)
    assert redis_server.ask("HLEN", script.LISTS) == b":11\r\n"
    assert 0 < int(redis_server.ask("PTTL", script.LISTS)[1:]) <= 199_000


def test_months_that_are_deleted_have_no_columns(
    made: dict[str, dict[int, Day]],
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
) -> None:
    """Nor does a late access to one bring them back."""
    oldest = first_day_of(MONTH - 2)
    writer._server.run(writer._server.patient, script.FORGET_DAYS, [str(oldest), str(MONTH - 2)])
    entry = count_entry("/d1/1", "full", "people", 7, True, None, 0, (oldest - 9) * DAY)
    writer.apply("late", 1, [entry])
    make_again(writer, redis_server)
    for period in PERIODS[1:]:
        found = reader.ranked("bytes", period)
        assert (shown(found), found.as_of) == (shown(writer.ranked("bytes", period)), NOW), period


@pytest.mark.parametrize("about", ['{"periods":[[0,2932896]],"as_of":7,"packs":0}', '{"format":1}'])
def test_lists_of_another_format_are_not_read(
    made: dict[str, dict[int, Day]],
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
    about: str,
) -> None:
    writer._server.patient.hset(script.LISTS, "about", about)
    assert reader.ranked("bytes").as_of == NOW + 60
    assert shown(reader.directory("/d1/")) == shown(writer.directory("/d1/"))
    make_again(writer, redis_server)
    assert reader.ranked("completed").as_of == NOW


@pytest.fixture
def info(
    writer: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], None]:
    """Let Redis say something else of its memory."""
    ask = Server.ask

    def let(say: Callable[[], object]) -> None:
        def asked(server: Server, client: "redis.Redis", *command: object) -> object:
            return say() if command[0] == "INFO" else ask(server, client, *command)

        monkeypatch.setattr(Server, "ask", asked)

    return let


@pytest.mark.parametrize("limit", ["of our own", "of Redis"])
def test_columns_have_a_bound(
    writer: RedisStore,
    reader: RedisStore,
    redis_server: RedisServer,
    limit: str,
    info: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(writer)

    def memory() -> dict[str, int]:
        ask, patient = writer._server.ask, writer._server.patient
        taken = sum(int(ask(patient, "HGET", key, SIZE)) for key in columns(writer))
        return {"maxmemory": 4_000_000, "used_memory": 2_980_000 + taken}

    if limit == "of Redis":
        info(memory)
    else:
        monkeypatch.setattr(month_making, "_MOST_BYTES", 20_000)
    writer.make_lists(Event())
    kept = columns(writer)
    assert 1 <= len(kept) < 5
    make_again(writer, redis_server)
    assert columns(writer) == kept, "which are the same again"
    for days, as_of in ((Period(TODAY - 10, TODAY), NOW), (Period(0, TODAY - 150), NOW + 60)):
        found = reader.ranked("bytes", days)
        assert (shown(found), found.as_of) == (shown(writer.ranked("bytes", days)), as_of)


def test_who_may_not_ask_for_memory_keeps_columns(
    writer: RedisStore, reader: RedisStore, info: Callable[[Callable[[], object]], None]
) -> None:
    def refuse() -> None:
        raise RemoteRefusedError("NOPERM")

    fill(writer)
    info(refuse)
    writer.make_lists(Event())
    assert reader.ranked("bytes", Period(TODAY - 10, TODAY)).as_of == NOW


def test_many_days_that_are_not_packed(
    writer: RedisStore, reader: RedisStore, redis_server: RedisServer
) -> None:
    """They came late, as those of an import."""
    assert writer._packing.pack(TODAY - 2)
    entries = [
        count_entry("/a", "full", "people", 7, True, None, 0, (TODAY - day) * DAY)
        for day in range(9)
    ]
    writer.apply("w", 1, entries)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS) == b":0\r\n"
    left = int(redis_server.ask("PTTL", script.MAKING)[1:])
    assert left > LONGER * 30_000, "nobody tries at once"
    pack_now_and_then(writer, redis_server)
    make_again(writer, redis_server)
    found = reader.ranked(period=Period(TODAY - 300, TODAY))
    assert (found.as_of, [row.tally.accesses for row in found.rows]) == (NOW, [9])


def test_one_makes_them_and_they_expire(writer: RedisStore, redis_server: RedisServer) -> None:
    fill(writer)
    writer.make_lists(Event())
    before = redis_server.ask("HGET", script.LISTS, "about")
    writer.make_lists(Event())
    assert redis_server.ask("HGET", script.LISTS, "about") == before, "it is not time yet"
    took = json.loads(before.split(b"\r\n")[1])["took"]
    spared = max(LONGER * 60, 50 * took)
    assert 0 < int(redis_server.ask("PTTL", script.MAKING)[1:]) <= 1000 * spared
    assert 0 < int(redis_server.ask("PTTL", script.LISTS)[1:]) <= 2000 * (spared + took)


def test_they_outlast_the_day_on_which_they_were_made(
    writer: RedisStore, redis_server: RedisServer
) -> None:
    """They are made again when the day ends, and who looks meanwhile finds the last ones."""
    fill(writer)
    late = open_store(redis_server, (TODAY + 1) * DAY - 1, 0)
    late.make_lists(Event())
    late.close()
    assert int(redis_server.ask("PTTL", script.MAKING)[1:]) <= 1000
    assert int(redis_server.ask("PTTL", script.LISTS)[1:]) > LONGER * 60_000


def test_few_files_are_not_worth_it(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_lists, "MANY_FILES", 2)
    count(writer, 1)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS, script.MAKING) == b":0\r\n"


@pytest.mark.parametrize("why", ["the process ends", "too many days"])
def test_who_was_held_up_and_gives_up_leaves_the_other_alone(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    fill(writer)
    end = Event()

    def held_up(*_: object) -> dict[str, bytes]:
        redis_server.ask("SET", script.MAKING, "second", "PX", str(A_WHILE))
        end.set()
        raise EndedError if why == "the process ends" else TooManyDaysError

    monkeypatch.setattr(Making, "fields", held_up)
    writer.make_lists(end)
    assert 0 < int(redis_server.ask("PTTL", script.MAKING)[1:]) <= A_WHILE


def test_a_process_that_ends_leaves_it_to_others(
    writer: RedisStore, redis_server: RedisServer
) -> None:
    fill(writer)
    end = Event()
    end.set()
    writer.make_lists(end)
    assert redis_server.ask("EXISTS", script.LISTS, script.MAKING) == b":0\r\n"


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0],
        [0, 1, 255],
        [1 << 52, 0, 3],
        list(range(1000)),
        [n * 7**19 % 2**33 for n in range(99)],
    ],
)
def test_columns(numbers: list[int]) -> None:
    assert list(unpacked(packed(numbers))) == numbers
    lanes = sum(number << 64 * place for place, number in enumerate(numbers))
    assert packed_lanes(lanes, len(numbers)) == packed(numbers)
    for times in (1, 3, 256, 257, 258, 600):
        found = Sum()
        for _ in range(times):
            found.add(packed(numbers), 1)
            found.add(packed(numbers), 1)
            found.add(packed(numbers), -1)
        found.add_lanes(lanes)
        assert found.lanes() == (times + 1) * lanes
