"""The WSGI application named by COMPARISON_APPLICATION, bridged to ASGI, which uvicorn speaks."""

import importlib
import os

_module, _, _name = os.environ["COMPARISON_APPLICATION"].partition(":")
# Imported by name: the package is there only on machines where this comparison is asked for.
app = importlib.import_module("a2wsgi").WSGIMiddleware(
    getattr(importlib.import_module(_module), _name)
)
