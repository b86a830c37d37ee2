"""What the OpenAPI file cannot say, for schemathesis: it imports this module (SCHEMATHESIS_HOOKS).

A query that its schema allows, and that is refused all the same for what it means, is not asked.
"""

from datetime import date
from typing import Any

import schemathesis


@schemathesis.hook  # type: ignore[untyped-decorator]
def filter_query(_context: Any, query: Any) -> bool:
    """Return whether a query makes sense, as far as it keeps to the schema."""
    if not isinstance(query, dict):
        return True
    # A page follows one that was given out.
    return not query.get("after") and _is_on_a_calendar(str(query.get("period", "")))


def _is_on_a_calendar(period: str) -> bool:
    """Return whether a period of days has days, in an order; others are left to the schema."""
    first, _, last = period.partition("..")
    if first[4:5] != "-":
        return True
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        return False
    return date(1970, 1, 1) <= begin <= end
