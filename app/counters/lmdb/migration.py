"""A store of format 1 is brought into today's format, in place."""

from secrets import token_bytes

from ..outage import tell
from . import format_1_rows, row_moving
from .adapters import TransactionRows
from .environment import Transaction
from .loading import Loading
from .opening import FORMAT_KEY
from .past_days import PastDays
from .rows import ASIDE, LONGEST_PATH, STORE_ID

_ALL_IDS = range(1 << 32)


def migrate(transaction: Transaction, past: PastDays, directory: str, today: int) -> None:
    """Bring what format 1 kept into today's format, within the transaction on data.mdb.

    The history is written before the transaction ends. Whoever is killed in between leaves blocks
    of a store that there is not, and the next attempt begins anew.
    """
    kept = [row for row in transaction.cursor() if row[0] != FORMAT_KEY]
    counts, unreadable = format_1_rows.decoded(kept)
    aside = [
        (key, value)
        for key, value in kept
        if key in unreadable or key[:1] not in format_1_rows.MARKS
    ]
    if unreadable:
        one = min(unreadable)
        tell(f"counts: {len(unreadable)} rows cannot be read, and are left out: {one!a}")
    store_id = token_bytes(16)
    site, records = counts.contents(today)
    with Loading(
        directory,
        lambda: _ALL_IDS,
        lambda blocks: past.write(store_id, blocks),
        lambda _: False,
    ) as loading:
        loading.take(records)
        _empty(transaction)
        rows = TransactionRows(transaction)
        rows.put(STORE_ID, store_id)
        for key, value in aside:
            rows.put((ASIDE + key)[:LONGEST_PATH], value)
        row_moving.add(rows, loading.files(), loading.days, site, lambda _: {})


def _empty(transaction: Transaction) -> None:
    with transaction.cursor() as cursor:
        found = cursor.first()
        while found:
            found = cursor.delete()
