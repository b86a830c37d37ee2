"""The map: the rooms, and the arrows between them that `tests/test_architecture.py` enforces.

    files/       what to answer: the WSGI application
    counters/    how often: exact counts
    http11/      the wire: bytes to messages and back, without I/O
    server/      who listens: sockets, threads, worker processes; runs any WSGI callable
    comparison/  side by side: runs servers as processes and compares them
    clock.py     the current HTTP date; settings.py: every option once
    line_log.py  lines to standard output and error that never wait for a reader; failure_log.py: failures, each once
    wsgi.py      the application put together; main.py: the command that serves it

    wsgi.py ─► settings, files, counters           main.py ─► settings, wsgi, server, counters (its commands)
    files ─► counters.counter (the protocol), clock        server ─► http11, clock
    http11, comparison ─► nothing of ours                  all but these ─► line_log, failure_log

The two programs, application and server, meet only at WSGI.

Imports in here are relative. Installed, the package is called `tally_server`, and so it is under
`run_builtin.py`, `wsgi.py` and `gunicorn.conf.py` of a checkout, where the name `app` belongs to
the application that is served.
"""

__version__ = "0.1.0"
