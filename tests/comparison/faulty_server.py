"""A small HTTP server that is right until it is told not to be: `faulty_server.py PORT ROOT FAULT
[AFTER]`.

FAULT begins after AFTER answers. Run by path: nothing of the project is imported.
"""

import itertools
import os
import signal
import socket
import sys
import threading
import time
from typing import NoReturn

FAULTS = (
    "none",
    "chunked",  # right, in chunks
    "until-close",  # right, ended by the connection
    "wrong-length",
    "wrong-status",
    "wrong-content",
    "cut-short",
    "surplus",
    "silence",
    "crash",
    "never-starts",
    "never-answers",
    "stubborn",  # ignores SIGTERM
)


def answer(fault: str, content: bytes) -> tuple[bytes, bool]:
    """Return the bytes to send and whether the connection ends then."""
    fields = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    length = b"Content-Length: %d\r\n\r\n"
    if fault == "wrong-length":
        content = content[:-1]
    if fault == "wrong-content":
        content = content[::-1]
    if fault == "wrong-status":
        return fields.replace(b"200 OK", b"202 Accepted") + length % len(content) + content, False
    if fault == "cut-short":
        return fields + length % len(content) + content[:-5], True
    if fault == "surplus":
        return fields + length % len(content) + content + b"surplus", False
    if fault == "chunked":
        half = len(content) // 2
        chunks = b"%x\r\n%b\r\n%x;note=1\r\n%b\r\n0\r\n\r\n" % (
            half,
            content[:half],
            len(content) - half,
            content[half:],
        )
        return fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, False
    if fault == "until-close":
        return fields + b"Connection: close\r\n\r\n" + content, True
    return fields + length % len(content) + content, False


#: Held by the one thread that ends the process: other threads' last words would run into its own.
CRASHING = threading.Lock()


def crash() -> NoReturn:
    with CRASHING:
        print("the last words of a server", flush=True)
        os._exit(3)


def serve(
    connection: socket.socket, root: str, fault: str, after: int, answered: "itertools.count[int]"
) -> None:
    buffer = b""
    with connection:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = connection.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            with open(root + path, "rb") as file:
                content = file.read()
            now = fault if next(answered) >= after else "none"
            if now == "crash":
                crash()
            if now == "silence":
                time.sleep(60)
            answer_bytes, ends = answer(now, content)
            connection.sendall(answer_bytes)
            if ends or b"connection: close" in head.lower():
                return


def main() -> None:
    port, root, fault = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    after = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    if fault == "never-starts":
        sys.exit("a configuration that does not make sense")
    if fault == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answered = itertools.count()
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        while True:
            connection, _ = listener.accept()
            if fault == "never-answers":
                connection.close()
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=serve, args=(connection, root, fault, after, answered), daemon=True
            ).start()


if __name__ == "__main__":
    main()
