"""The map: the rooms, and the arrows between them that `tests/test_architecture.py` enforces.

    files/         what to answer: the WSGI application
    counters/      how often: exact counts, in two wings, lmdb/ and redis/
    stats/         the counts shown: a page, JSON and CSV, metrics, badges
    http11/        the wire: bytes to messages and back, without I/O
    server/        who listens: sockets, threads, worker processes; runs any WSGI callable
    comparison/    side by side: runs servers as processes and compares them
    wsgi.py        the application put together; main.py: the command that serves it
    options.py     every option once; settings.py reads them from flags and variables

    Leaves: clock.py has the current HTTP date, client_address.py what logs show of an address,
    line_log.py writes lines to standard output and error without waiting for a reader,
    failure_log.py says each failure once, after_fork.py hears of forks, host_figures.py adds up
    what this host's server does, request_note.py and stats_tokens.py are small.

    main ─► settings, wsgi, server, counters' command
    wsgi ─► settings, files, clients, counters, stats
    settings ─► files.policy, clients (by option_values.py)
    files ─► counters.contract, clients            clients ─► counters.contract
    stats ─► counters' reading part, no store      server ─► http11
    http11, comparison ─► nothing of ours          lmdb and redis: nothing of each other

The two programs, application and server, meet only at WSGI. ARCHITECTURE.md has the whole story.

Imports in here are relative. Installed, the package is called `tally_server`, and so it is under
`run_builtin.py`, `wsgi.py` and `gunicorn.conf.py` of a checkout, where the name `app` belongs to
the application that is served.
"""

__version__ = "0.1.0"
