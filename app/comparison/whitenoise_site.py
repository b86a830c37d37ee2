"""WhiteNoise over the compared documents: another WSGI application for the same servers."""

import importlib
import os
from typing import Any


def _not_found(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = b"Not Found\n"
    start_response(
        "404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    )
    return [body]


# Imported by name: the package is there only on machines where this comparison is asked for.
app = importlib.import_module("whitenoise").WhiteNoise(
    _not_found, root=os.environ["COMPARISON_ROOT"], index_file=True, max_age=0
)
