"""What the RFCs require of an answer: rows of a request, a section and a check of the answer."""

from . import (
    codings,
    conditionals,
    connections,
    fields,
    framing,
    malformed,
    methods,
    ranges,
    targets,
)
from .row import Row

#: Every row, by topic, in the order of the report.
TOPICS: dict[str, tuple[Row, ...]] = {
    "methods": methods.ROWS,
    "request targets": targets.ROWS,
    "fields of the answer": fields.ROWS,
    "ranges": ranges.ROWS,
    "conditionals": conditionals.ROWS,
    "content codings": codings.ROWS,
    "connections": connections.ROWS,
    "framing": framing.ROWS,
    "malformed requests": malformed.ROWS,
}
