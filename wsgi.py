"""The counted files for any WSGI server that runs in a checkout: `gunicorn wsgi:app`."""

from run_builtin import load

app = load("wsgi").app
