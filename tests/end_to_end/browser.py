"""Headless Chromium, steered by its DevTools protocol over a pair of pipes."""

import base64
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.programs import program

OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-extensions"
    " --no-first-run --disable-background-networking --hide-scrollbars"
)


#: A key by its name: its number, and what it writes.
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}


def chromium(profile: Path) -> list[str]:
    """Return the command that starts it with an empty *profile*."""
    path = program("chromium", "chromium-browser", "google-chrome")
    return [path, *OPTIONS.split(), f"--user-data-dir={profile}"]


class Browser:
    """One window. Every call waits for its answer."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._number = 0
        self._session = ""
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what the browser answers to *method*; AssertionError when it refuses."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        answer = self._await(lambda message: message.get("id") == self._number)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Open *url* and wait until the page has loaded."""
        self.expect("Page.loadEventFired", lambda: self.call("Page.navigate", url=url))

    def expect(self, event: str, action: Callable[[], object]) -> None:
        """Do *action*, and wait for the *event* that follows."""
        self._events.clear()
        action()
        if not any(message.get("method") == event for message in self._events):
            self._await(lambda message: message.get("method") == event)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript *expression*; of a promise, what it becomes."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key: one of `_KEYS`."""
        number, text = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=" " if key == "Space" else key,
                code=key,
                windowsVirtualKeyCode=number,
                text=text if kind == "keyDown" else "",
            )

    def write(self, text: str) -> None:
        """Put *text* where the focus is."""
        self.call("Input.insertText", text=text)

    def look_like(
        self,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: str = "light",
        forced_colors: str = "none",
    ) -> None:
        """Give the window a size, in CSS pixels, and its user a preference for light or dark, or
        colours of the system alone.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "forced-colors", "value": forced_colors},
            ],
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def complaints(self) -> list[str]:
        """Return what the console would show since the page was opened: refused by a policy, not
        found, an exception.
        """
        self.evaluate("new Promise(resolve => setTimeout(resolve))")
        found = []
        for message in self._events:
            parameters = message.get("params", {})
            if message.get("method") == "Log.entryAdded":
                found.append(str(parameters["entry"]["text"]))
            elif message.get("method") == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
        return found

    def _await(
        self, is_it: Callable[[dict[str, Any]], bool], seconds: float = 45
    ) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            message, zero, rest = self._buffer.partition(b"\0")
            if zero:
                self._buffer = rest
                found: dict[str, Any] = json.loads(message)
                self._events.append(found)
                if is_it(found):
                    return found
                continue
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            block = os.read(self._from, 1 << 20)
            assert block, "the browser has ended"
            self._buffer += block


@contextmanager
def browser(profile: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Browser]:
    """Start Chromium; it is gone when the block ends."""
    command = [*chromium(profile), "--remote-debugging-pipe", "about:blank"]
    to_browser, from_browser = _high_pipe(), _high_pipe()
    null = os.open(os.devnull, os.O_RDWR)
    # It reads commands from descriptor 3 and writes answers to 4.
    actions = [(os.POSIX_SPAWN_DUP2, to_browser[0], 3), (os.POSIX_SPAWN_DUP2, from_browser[1], 4)]
    actions += [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    pid = os.posix_spawn(command[0], command, environ, file_actions=actions, setpgroup=0)
    for descriptor in (to_browser[0], from_browser[1], null):
        os.close(descriptor)
    try:
        yield Browser(to_browser[1], from_browser[0])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(to_browser[1])
        os.close(from_browser[0])


def _high_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are not 3 or 4, and are not inherited."""
    ends = os.pipe()
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return reader, writer
