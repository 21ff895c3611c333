# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs, headers and the request that they make. Private to this collection. Sources: RFC 3986, RFC 9110, RFC 9112."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.probe.getaddrinfo import numeric
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION

_PORTS = {"http": 80, "https": 443}
_ACCEPTED = "http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH"
_UNCHANGED = "!$%&'()*+,-./:;=?@[]_~"
_NAME_MARKS = "!#$%&'*+-.^_`|~"
# Headers whose values tell nothing about who asks.
_OPEN = ("host", "accept", "accept-encoding", "accept-language", "cache-control", "connection", "range", "user-agent")
_SECRET_LENGTH = 4


class Url(NamedTuple):
    """:ivar text: as it was given.
    :ivar path: with the query, percent-encoded.
    """

    text: str
    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in the header ``Host``."""
        bare = self.host.partition("%")[0]
        named = f"[{bare}]" if ":" in bare else bare
        return named if self.port == _PORTS["https" if self.secure else "http"] else f"{named}:{self.port}"


def parse(text: str) -> Url:
    """:raises BadOption: no URL, another scheme, or one with credentials, which are not repeated in the message."""
    # Some versions of urlsplit() drop control characters in silence.
    if not text.isprintable() or " " in text:
        raise BadOption("urls", text, _ACCEPTED)
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise BadOption("urls", text.rpartition("@")[2], f"{_ACCEPTED} ({error})") from error
    if "@" in parts.netloc:
        shown = f"{parts.scheme}://...@{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise BadOption("urls", shown, "a URL without a user and password: none are ever sent")
    host = host.replace("%25", "%")
    if scheme not in _PORTS or not valid_host(host) or port == 0:
        raise BadOption("urls", text, _ACCEPTED)
    path = quote(parts.path or "/", safe=_UNCHANGED) + (
        "?" + quote(parts.query, safe=_UNCHANGED) if parts.query else ""
    )
    return Url(text, scheme == "https", _ascii(host), port or _PORTS[scheme], path)


def valid_host(host: str) -> bool:
    """Whether *host* can be a host's name or address."""
    if numeric(host) is not None:
        return True
    try:
        name = _ascii(host)
    except ValueError:
        return False
    return 0 < len(name) < 255 and all(
        0 < len(label) < 64 and label.replace("-", "").replace("_", "").isalnum()
        for label in name.rstrip(".").split(".")
    )


def _ascii(host: str) -> str:
    """:raises ValueError: it cannot be written by IDNA."""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def checked_headers(headers: dict[str, Any]) -> dict[str, str]:
    """:raises BadOption: a name or value that would break the request; values are not repeated."""
    found = {}
    for name, value in headers.items():
        word, text = str(name), str(value)
        if not word or not all(letter.isascii() and (letter.isalnum() or letter in _NAME_MARKS) for letter in word):
            raise BadOption("headers", word, "names of headers, such as Accept")
        if not all(letter.isprintable() or letter == "\t" for letter in text):
            raise BadOption("headers", word, "a value without line breaks and control characters")
        if word.lower() in ("content-length", "transfer-encoding"):
            raise BadOption("headers", word, "headers of a request without a body")
        found[word] = text
    return found


def secrets(params: dict[str, Any]) -> set[str]:
    """What must not be seen in the result: values of headers and passwords in URLs.

    Not the values of headers that tell nothing, and very short ones: to hide these would only garble the result.
    """
    found = {
        str(value)
        for name, value in (params["headers"] or {}).items()
        if str(name).lower() not in _OPEN and len(str(value)) >= _SECRET_LENGTH
    }
    for text in params["urls"]:
        user, at, __ = text.partition("://")[2].partition("/")[0].rpartition("@")
        if at:
            found |= {user, user.partition(":")[2]} - {""}
    return found


def request(url: Url, method: str, headers: dict[str, str]) -> bytes:
    """The request's bytes; *headers* take the place of ours where they have the same name."""
    own = {
        "Host": url.authority,
        "User-Agent": f"nettriage/{VERSION}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    stated = {name.lower() for name in headers}
    fields = {**{name: value for name, value in own.items() if name.lower() not in stated}, **headers}
    lines = [f"{method} {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("utf-8")
