# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chromium without a window, driven over a pipe by the DevTools protocol: nothing but the standard library is needed.

Messages are JSON, each ended by a NUL, on the file descriptors 3 and 4 of the browser (``--remote-debugging-pipe``).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # as root in a container there is none to be had
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_TIMEOUT_S = 60.0
_READ_BYTES = 1 << 20
# Above the numbers that the browser takes for its own.
_ABOVE = 10


def program() -> str | None:
    """The browser of this machine."""
    return next((found for found in map(shutil.which, PROGRAMS) if found), None)


class Failed(Exception):
    """The browser did not do what it was told."""


class Browser:
    """One browser with one page. What the page requests and complains about is kept.

    :ivar requests: the addresses that pages have asked for since the last :meth:`open`.
    :ivar complaints: errors and warnings of the console, and exceptions, since then.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._profile = tempfile.TemporaryDirectory(prefix="nettriage-page-")
        orders, self._write = os.pipe()
        self._read, answers = os.pipe()
        inner = [fcntl.fcntl(end, fcntl.F_DUPFD, _ABOVE) for end in (orders, answers)]
        words = [str(program()), *_OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"]
        # The shell puts the pipes where the browser looks for them.
        shell = f'exec "$@" 3<&{inner[0]} 4>&{inner[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *words],
            pass_fds=inner,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (orders, answers, *inner):
            os.close(end)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = 0
        try:
            (page,) = [row for row in self._targets() if row["type"] == "page"]
            attached = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.send(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _targets(self) -> list[dict[str, Any]]:
        """Everything that can be attached to; the first page needs a moment."""
        end = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < end:
            found: list[dict[str, Any]] = self.send("Target.getTargets")["targetInfos"]
            if any(row["type"] == "page" for row in found):
                return found
        raise Failed("the browser has no page")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(_TIMEOUT_S)
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    def open(self, path: str, width: int = 1280, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """Load the file *path*, and wait until it is there."""
        self.view(width, height, dark, media)
        self.requests.clear()
        self.complaints.clear()
        before = self._loaded
        # From a page to itself with another fragment would load nothing.
        self.send("Page.navigate", url="about:blank")
        self.wait(lambda: self._loaded > before)
        before = self._loaded
        self.send("Page.navigate", url=f"file://{path}")
        self.wait(lambda: self._loaded > before)

    def view(self, width: int = 1280, height: int = 900, dark: bool = False, media: str = "screen") -> None:
        """The window's size, the colour scheme and the medium."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        done = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in done:
            raise Failed(str(done["exceptionDetails"].get("exception", {}).get("description", done)))
        return done["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until the expression is true."""
        end = time.monotonic() + _TIMEOUT_S
        while not self.run(script):
            if time.monotonic() > end:
                raise Failed(f"never true: {script}")

    def key(self, name: str, text: str = "") -> None:
        """Press and release one key."""
        code = {"Tab": 9, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39}.get(name, 0)
        same = {"key": name, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        self.send("Input.dispatchKeyEvent", type="keyDown", **same)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def type(self, text: str) -> None:
        """Type *text* where the focus is."""
        self.send("Input.insertText", text=text)

    def shoot(self, path: str, whole: bool = False) -> None:
        """A picture of the window, or of the whole page."""
        done = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(done["data"]))

    def paper(self) -> bytes:
        """The page as a PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    def wait(self, true: Callable[[], bool]) -> None:
        """Take in events until *true*."""
        end = time.monotonic() + _TIMEOUT_S
        while not true():
            self._event(self._message(end))

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call *method* and return what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        end = time.monotonic() + _TIMEOUT_S
        while True:
            answer = self._message(end)
            if answer.get("id") != self._number:
                self._event(answer)
            elif "error" in answer:
                raise Failed(f"{method}: {answer['error']['message']}")
            else:
                result: dict[str, Any] = answer["result"]
                return result

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, __, __ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, _READ_BYTES) if ready else b""
            if not data:
                raise Failed("the browser is gone" if ready else f"no answer within {_TIMEOUT_S:.0f} s")
            self._buffer += data
        first, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(first)
        return message

    def _event(self, event: dict[str, Any]) -> None:
        name, told = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif name == "Page.loadEventFired":
            self._loaded += 1
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif name == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
            self.complaints.append(told["entry"]["text"])
        elif name == "Runtime.consoleAPICalled" and told["type"] in ("warning", "error", "assert"):
            self.complaints.append(str(told["args"]))
