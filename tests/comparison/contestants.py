"""Servers for the comparison that are broken on purpose."""

import os

from app.comparison.servers import PROJECT, Server

#: In a command, `{project}` stands for the place, whose name may have blanks.
_PATH = os.path.join("tests", "comparison", "faulty_server.py")
FAULTY_SERVER = os.path.join(PROJECT, _PATH)


def faulty(fault: str, after: int = 0) -> Server:
    """A server as `app.comparison.servers` has them, that does *fault* after so many answers."""

    command = f"python -S {{project}}/{_PATH} {{port}} {{root}} {fault} {after}"
    return Server(name=f"faulty-{fault}", title=f"Faulty: {fault}", command=command)
