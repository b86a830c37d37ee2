"""Servers for the comparison that are broken on purpose."""

import os

from app.comparison.servers import Server

FAULTY_SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faulty_server.py")


def faulty(fault: str, after: int = 0) -> Server:
    """A server as `app.comparison.servers` has them, that does *fault* after so many answers."""

    command = f"python -S {FAULTY_SERVER} {{port}} {{root}} {fault} {after}"
    return Server(name=f"faulty-{fault}", title=f"Faulty: {fault}", command=command)
