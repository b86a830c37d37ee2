"""What a large store in Redis costs to read: `python -m tests.counters.large_redis [--files 100000]`.

Starts a redis-server with 100,000 files, each with 365 days: the last of them in its record, two in
its text of the month, the others in month blocks. The blocks of a few files are made from random
days and stand for all (`large_store.py`). Prints what Redis takes, and for each reading call the
time of the first one of a process, of the next one, and how long Redis served nobody else at the
first: its longest command. Lists come from those that a process that counts made ahead; what that
takes is printed before. Of three of each the best is printed, as other work on the machine
disturbs. `--days-as-texts` fills a store as format 2 kept it, all days in texts, and prints what it
takes.
"""

import argparse
import random
import time
from collections.abc import Callable
from threading import Event

import redis

from app.counters.contract import Class
from app.counters.month_block import FILES, MonthBlock
from app.counters.periods import SECONDS_PER_DAY, Period, first_day_of, month_of
from app.counters.redis import scripts
from app.counters.redis.entries import write_tally
from app.counters.redis.packing import DAYS_AT_HAND
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.large_store import DAYS, block, day
from tests.counters.redis_server import RedisServer, redis_running

ROUNDS = 3
#: So many blocks of a month are made; the others are copies.
DIFFERENT = 8
LIMIT_MS = 250
PEOPLE: frozenset[Class] = frozenset({"people"})
_AT_ONCE = 5000


def path_of(number: int) -> str:
    return f"/releases/{number // 100}/file-{number}.tar.gz"


def make(client: "redis.Redis", files: int, *, as_texts: bool) -> None:
    dice = random.Random(1)
    today = int(time.time()) // SECONDS_PER_DAY
    days = range(today - DAYS + 1, today + 1)
    begins = days[0] if as_texts else today - DAYS_AT_HAND + 1
    texts = [_texts(dice, range(begins, today)) for _ in range(50 * DIFFERENT)]
    site = Tally()
    for begin in range(0, files, _AT_ONCE):
        pipe = client.pipeline(transaction=False)
        for number in range(begin, min(begin + _AT_ONCE, files)):
            path, of_today = path_of(number), day(dice, 1000 + number)
            total = of_today + day(dice, 365_000)
            site += total
            times = f"{days[0] * SECONDS_PER_DAY},{today * SECONDS_PER_DAY + number % 3600}"
            record = f"[{times},{today},{write_tally(total)},{write_tally(of_today)},{number}]"
            pipe.hset(scripts.RECORDS, path, record)
            pipe.zadd(scripts.TOP, {path: -total.accesses})
            for month, text in texts[number % len(texts)].items():
                pipe.hset(f"{scripts.MONTH}{month}", path, text)
        pipe.execute()
    pipe = client.pipeline(transaction=False)
    for at in days:
        pipe.hset(scripts.SITE_DAYS, str(at), write_tally(day(dice, 10_000_000)))
    for month in range(month_of(days[0]), month_of(today) + 1):
        pipe.hset(scripts.MONTHS, str(month), 1)
        if not as_texts:
            packed = [_packed(dice, month, range(days[0], begins)) for _ in range(DIFFERENT)]
            for number in range(-(-files // FILES)):
                if packed[0]:
                    pipe.hset(f"{scripts.PACKED}{month}", str(number), packed[number % DIFFERENT])
    pipe.hset(
        scripts.SITE,
        mapping={
            "total": write_tally(site),
            "newest": str(today * 24),
            "packed_before": str(begins),
            "packed_until": str(begins),
            "next_id": str(files),
        },
    )
    pipe.execute()


def _texts(dice: random.Random, days: range) -> dict[int, str]:
    """Return a file's texts by month."""
    found: dict[int, list[str]] = {}
    for at in days:
        pair = f"[{at},{write_tally(day(dice, dice.randrange(1000, 50_000_000)))}]"
        found.setdefault(month_of(at), []).append(pair)
    return {month: f"[{','.join(pairs)}]" for month, pairs in found.items()}


def _packed(dice: random.Random, month: int, days: range) -> bytes:
    within = range(max(days[0], first_day_of(month)), min(days[-1] + 1, first_day_of(month + 1)))
    return block(dice, month, within) if within else MonthBlock().pack()


def tell_size(server: RedisServer, client: "redis.Redis", files: int) -> None:
    client.save()
    used = int(client.info("memory")["used_memory"])
    print(
        f"{files:,} files of {DAYS} days: Redis has {used / 1e6:,.0f} MB in memory"
        f" ({used / files / DAYS:.1f} bytes a file and day) and {server.saved() / 1e6:,.0f} MB saved"
    )


def measure(server: RedisServer, client: "redis.Redis", files: int) -> bool:
    """Print what each call takes; return whether all keep to the limit."""
    store = RedisStore(server.url)
    store.check()
    make_ready(store, client)
    today = int(time.time()) // SECONDS_PER_DAY
    week, month = Period(today - 6, today), Period(today - 29, today)
    year = Period(today - DAYS + 1, today)
    others = {
        "14 days": Period(today - 13, today),
        "60 days": Period(today - 59, today),
        "90 days": Period(today - 89, today),
        "180 days": Period(today - 179, today),
        "a month": Period(first_day_of(month_of(today) - 3), first_day_of(month_of(today) - 2) - 1),
        "within two months": Period(today - 200, today - 33),
    }
    path = path_of(files // 2)
    calls: dict[str, Callable[[RedisStore], object]] = {
        "totals": RedisStore.totals,
        "series by day, the site, a year": lambda store: store.series("day", year),
        "series by day, a file, a year": lambda store: store.series("day", year, path),
        "file": lambda store: store.file(path),
        "file, a year": lambda store: store.file(path, year),
        "ranked": RedisStore.ranked,
        "directory": lambda store: store.directory("/releases/500/"),
        "directory /": lambda store: store.directory("/"),
        "ranked by bytes": lambda store: store.ranked("bytes"),
        "ranked, *7*": lambda store: store.ranked(match="*7*"),
        "ranked, people": lambda store: store.ranked(classes=frozenset({"people"})),
        "ranked, today": lambda store: store.ranked(period=Period(today, today)),
        "ranked, a week": lambda store: store.ranked(period=week),
        "ranked, 30 days": lambda store: store.ranked(period=month),
        "ranked, a year": lambda store: store.ranked(period=year),
        "ranked by bytes, a year": lambda store: store.ranked("bytes", year),
        "ranked, people, a year": lambda store: store.ranked(period=year, classes=PEOPLE),
    }
    for name, period in others.items():
        calls |= _over(name, period)
    print(f"{'':34}{'first time, ms':>22}{'the next, ms':>22}{'Redis at a':>12}")
    print(f"{'call':34}" + f"{'elapsed':>12}{'CPU':>10}" * 2 + f"{'time, ms':>12}")
    well = True
    for name, call in calls.items():
        longest, first, later = [], [], []
        for _ in range(ROUNDS):
            anew = RedisStore(server.url)
            anew.missed()  # connects
            client.slowlog_reset()
            first.append(took(lambda: call(anew)))  # noqa: B023 - called at once
            longest.append(max((each["duration"] for each in client.slowlog_get(9999)), default=0))
            later.append(took(lambda: call(anew)))  # noqa: B023
            anew.close()
        well = well and max(min(first), min(later))[0] <= LIMIT_MS
        numbers = (*min(first), *min(later), min(longest) / 1000)
        print(f"{name:34}{'{:12.1f}{:10.1f}{:12.1f}{:10.1f}{:12.1f}'.format(*numbers)}", flush=True)
    store.close()
    return well


def _over(name: str, period: Period) -> dict[str, Callable[[RedisStore], object]]:
    return {
        f"ranked, {name}": lambda store: store.ranked(period=period),
        f"ranked by bytes, {name}": lambda store: store.ranked("bytes", period),
        f"ranked, people, {name}": lambda store: store.ranked(period=period, classes=PEOPLE),
    }


def make_ready(store: RedisStore, client: "redis.Redis") -> None:
    before = int(client.info("memory")["used_memory"])
    for what in ("made ahead", "made anew, of the same days"):
        client.delete(scripts.MAKING)
        client.slowlog_reset()
        elapsed, worked = took(lambda: store.make_lists(Event()))
        slow = client.slowlog_get(9999)
        longest = max((each["duration"] for each in slow), default=0) / 1000
        kept = int(client.info("memory")["used_memory"]) - before
        print(
            f"lists {what} in {elapsed:,.0f} ms ({worked:,.0f} ms of CPU time), with commands of at"
            f" most {longest:.1f} ms; they take {kept / 1e6:.1f} MB"
        )


def took(call: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds that pass during a call, and those that this thread works."""
    begun, worked = time.perf_counter(), time.thread_time()
    call()
    return 1000 * (time.perf_counter() - begun), 1000 * (time.thread_time() - worked)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.counters.large_redis")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--days-as-texts", action="store_true")
    chosen = parser.parse_args()
    with redis_running("--appendonly", "no", "--slowlog-log-slower-than", "200") as server:
        client = redis.Redis(unix_socket_path=server.path)
        make(client, chosen.files, as_texts=chosen.days_as_texts)
        tell_size(server, client, chosen.files)
        well = chosen.days_as_texts or measure(server, client, chosen.files)
        client.close()
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
