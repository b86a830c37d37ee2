"""What the RFCs require of an answer, as tables: each row a request, a section, and a check of the
raw answer.
"""

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
from .probe import Probe

#: Every row, by topic, in the order of the report.
TOPICS: dict[str, tuple[Probe, ...]] = {
    "methods": methods.PROBES,
    "request targets": targets.PROBES,
    "fields of the answer": fields.PROBES,
    "ranges": ranges.PROBES,
    "conditionals": conditionals.PROBES,
    "content codings": codings.PROBES,
    "connections": connections.PROBES,
    "framing": framing.PROBES,
    "malformed requests": malformed.PROBES,
}
