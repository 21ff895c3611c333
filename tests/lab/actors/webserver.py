# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server with every kind of slowness: ``webserver.py COMMAND ADDRESS:PORT SPEC``.

SPEC is JSON: ``{"certificate": PATH, "key": PATH, "tls_ms": 0, "first_byte_ms": 0, "transfer_ms": 0, "body": 1000,
"status": "200 OK", "headers": [..], "behaviour": ...}``. Behaviours: ``normal``; ``reset`` (RST after the request);
``close`` (FIN instead of an answer); ``garbage`` (no HTTP); ``silent`` (no answer to anything); ``chunked``; ``short``
(half of the body); ``drip`` (a byte every 100 ms); ``plain_tls`` (a plain answer to a TLS handshake).
Each request is told as a line ``{"request": LINE, "headers": {NAME: VALUE}}``.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
import threading
import time
from typing import Any

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, listen, say, stay

_DRIPS = 600


class Site:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.behaviour: str = spec.get("behaviour", "normal")
        self.context: ssl.SSLContext | None = None
        if "certificate" in spec:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(spec["certificate"], spec.get("key"))
            self.context.set_alpn_protocols(["http/1.1"])

    def serve(self, stream: socket.socket) -> None:
        try:
            with stream:
                if self.behaviour == "silent":
                    time.sleep(60)
                    return
                if self.behaviour == "plain_tls":
                    stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                if self.context is not None:
                    self._pause("tls_ms")
                    stream = self.context.wrap_socket(stream, server_side=True)
                self._answer(stream)
        except OSError:
            return  # the probe went away, as it does from certificates that it does not like

    def _pause(self, name: str) -> None:
        time.sleep(self.spec.get(name, 0) / 1000)

    def _answer(self, stream: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            block = stream.recv(65536)
            if not block:
                return
            request += block
        first, *lines = request.split(b"\r\n\r\n")[0].decode().split("\r\n")
        say(request=first, headers=dict(line.split(": ", 1) for line in lines))
        self._pause("first_byte_ms")
        if self.behaviour == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if self.behaviour == "close":
            return
        if self.behaviour == "garbage":
            stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            return
        size = self.spec.get("body", 1000)
        framing = "Transfer-Encoding: chunked" if self.behaviour == "chunked" else f"Content-Length: {size}"
        head = [f"HTTP/1.1 {self.spec.get('status', '200 OK')}", framing, *self.spec.get("headers", []), "", ""]
        stream.sendall("\r\n".join(head).encode())
        if first.startswith("HEAD"):
            return
        body = b"n" * size
        if self.behaviour == "drip":
            for __ in range(_DRIPS):
                stream.sendall(b"n")
                time.sleep(0.1)
        half = size // 2
        if self.behaviour == "chunked":
            stream.sendall(b"%x;name=value\r\n" % half + body[:half] + b"\r\n")
            self._pause("transfer_ms")
            stream.sendall(b"%x\r\n" % (size - half) + body[half:] + b"\r\n0\r\n\r\n")
            return
        stream.sendall(body[:half])
        self._pause("transfer_ms")
        if self.behaviour != "short":
            stream.sendall(body[half:])


def main(command: str, where: str, spec: str) -> None:
    enter(command)
    site = Site(json.loads(spec))
    server = listen(where, 64)

    def accept() -> None:
        while True:
            stream, __ = server.accept()
            threading.Thread(target=site.serve, args=(stream,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    say(serving=where)
    stay()


if __name__ == "__main__":
    main(*sys.argv[1:])
