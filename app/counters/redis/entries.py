"""What is written for Redis to read: entries, of four texts each, and tallies.

| operation | name | amount | time |
| --- | --- | --- | --- |
| a kind | path | class [sent complete [client enough]] | of the access |
| sent | path | kind sent complete [client enough] | of the access |
| status | code | answers | not looked at |
| uncounted | | accesses transfers | of about then |

*complete* is 0 or 1, *client* a hash in hexadecimal. A program of the format before wrote a 1 where
the class is: it is not known then. Imports have more:

| operation | name | amount | time |
| --- | --- | --- | --- |
| record | path | [first, last, total, [[day, tally], ...]] | 0 |
| site_day, site_hour | day, hour | tally | 0 |
| detailed | | day | 0 |
"""

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from ..contract import Class, Kind
from ..reading import FileRecord, SiteRecord, add_to
from ..tally import NAMES, WIDTH, Tally

Entry = tuple[str, str, str, str]

_PLACES: Final = [struct.Struct(f"<{places}Q") for places in range(len(NAMES) + 1)]
_PACKED: Final = [place.pack for place in _PLACES]

SENT: Final = "sent"
UNCOUNTED: Final = "uncounted"
#: A batch of an import has so many files and days or, with its last file, some more.
_BATCH: Final = 1000


def count_entry(
    path: str,
    kind: Kind,
    class_: Class,
    sent: int,
    complete: bool,
    client: bytes | None,
    enough: int,
    at: int,
) -> Entry:
    """*client* is the hash."""
    if client is not None:
        return kind, path, f"{class_} {sent} {complete:d} {client.hex()} {enough}", str(at)
    return kind, path, f"{class_} {sent} {complete:d}" if sent or complete else class_, str(at)


def sent_entry(
    path: str, kind: Kind, sent: int, complete: bool, client: bytes | None, enough: int, at: int
) -> Entry:
    """*client* is the hash."""
    of_client = "" if client is None else f" {client.hex()} {enough}"
    return SENT, path, f"{kind} {sent} {complete:d}{of_client}", str(at)


def status_entry(status: int, answers: int) -> Entry:
    return "status", str(status), str(answers), "0"


def uncounted_entry(accesses: int, transfers: int, at: int) -> Entry:
    return UNCOUNTED, "", f"{accesses} {transfers}", str(at)


def lanes(numbers: Sequence[int]) -> int:
    """Return a tally's integer."""
    return int.from_bytes(_PACKED[len(numbers)](*numbers), "little")


def read_tally(text: bytes | None) -> int:
    """Return the integer of a tally's text, 0 for none."""
    return lanes(json.loads(text)) if text else 0


def write_tally(tally: Tally) -> str:
    lanes = tally.lanes
    places = -(-lanes.bit_length() // WIDTH)
    numbers = _PLACES[places].unpack(lanes.to_bytes(places * WIDTH // 8, "little"))
    return f"[{','.join(map(str, numbers))}]"


def import_batches(
    records: list[tuple[str, FileRecord]], site: SiteRecord | None
) -> Iterator[list[Entry]]:
    """Yield what adds them; no file is divided, so that none is seen half added."""
    batch: list[Entry] = []
    size = 0
    days: dict[int, Tally] = {}
    for path, record in records:
        batch.append(_entry_of(path, record))
        size += 1 + len(record.days)
        if site is None:
            add_to(days, record.days)
        if size >= _BATCH:
            yield batch + _site_days(days)
            batch, size, days = [], 0, {}
    batch += _site_days(days)
    if site is not None:
        batch += _site_days(site.days)
        batch += [
            ("site_hour", str(hour), write_tally(tally), "0") for hour, tally in site.hours.items()
        ]
        batch += [status_entry(status, answers) for status, answers in site.statuses.items()]
        if site.detailed_since:
            batch.append(("detailed", "", str(site.detailed_since), "0"))
    if batch:
        yield batch


def _entry_of(path: str, record: FileRecord) -> Entry:
    days = ",".join(f"[{day},{write_tally(tally)}]" for day, tally in sorted(record.days.items()))
    numbers = f"{record.first},{record.last},{write_tally(record.total)}"
    return "record", path, f"[{numbers},[{days}]]", "0"


def _site_days(days: dict[int, Tally]) -> list[Entry]:
    return [("site_day", str(day), write_tally(tally), "0") for day, tally in days.items()]
