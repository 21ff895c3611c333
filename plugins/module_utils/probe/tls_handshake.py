# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS handshakes, also with servers whose certificate is not to be trusted. Private to this collection.

Sources: the ``ssl`` module of Python's library, openssl-verify(1) for the codes.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tcp_connect import CLOSED, Failed, broken, positive
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_certificate import Damaged, parse

_NAMES = 20
_DAY_S = 86400


class Untrusted(Exception):
    """The handshake ended since the certificate does not stand up.

    :ivar problem: OpenSSL's words for it.
    :ivar code: its number, such as 10 for an expired certificate.
    """

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code


class Trust:
    """Whom this host trusts.

    :param ca_path: a file or directory of certificates instead of the system's.
    :ivar empty: whether there is nobody.
    :raises BadOption: *ca_path* holds no certificates.
    """

    def __init__(self, ca_path: str | None) -> None:
        where = {}
        if ca_path is not None:
            where = {"capath" if os.path.isdir(ca_path) else "cafile": ca_path}
        try:
            self.checked = ssl.create_default_context(**where)  # type: ignore[arg-type]
        except OSError as error:
            raise BadOption("ca_path", ca_path, "a file or directory with certificates in PEM form") from error
        # Python 3.13 asks for more than RFC 5280's basics, and so refuses what curl and the services here accept.
        self.checked.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self.unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.unchecked.check_hostname = False
        self.unchecked.verify_mode = ssl.CERT_NONE
        for context in (self.checked, self.unchecked):
            context.set_alpn_protocols(["http/1.1"])  # the only one that is spoken here
        self.empty = ca_path is None and not self.checked.cert_store_stats()["x509"] and not _directory_of_trust()


def _directory_of_trust() -> bool:
    """Directories are read certificate by certificate when one is needed."""
    directory = ssl.get_default_verify_paths().capath
    try:
        return directory is not None and bool(os.listdir(directory))
    except OSError:
        return False


def handshake(stream: socket.socket, context: ssl.SSLContext, host: str, end: Deadline) -> ssl.SSLSocket:
    """:raises Untrusted: *context* checks, and the certificate or its name is not accepted.
    :raises Failed: there is no other way to agree, or no answer.
    """
    stream.settimeout(positive(end))
    try:
        secure = context.wrap_socket(stream, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        raise Failed("tls_failed", "tls", str(error)) from error
    try:
        secure.do_handshake()
    except ssl.SSLCertVerificationError as error:
        secure.close()
        raise Untrusted(error.verify_message, error.verify_code) from error
    except (OSError, ValueError) as error:
        secure.close()
        raise trouble(error, "tls") from error
    return secure


def trouble(error: Exception, phase: str) -> Failed:
    """What an error of a TLS socket means."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Failed(CLOSED, phase, "the server closed the connection")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return Failed("tls_failed", phase, reason)
    if isinstance(error, OSError):
        return broken(error, phase)
    return Failed("tls_failed", phase, str(error))


def session_facts(secure: ssl.SSLSocket) -> dict[str, Any]:
    """What was agreed on, and the certificate, trusted or not."""
    cipher = secure.cipher()
    chain = getattr(secure, "get_unverified_chain", None)  # Python 3.13
    others = [certificate_facts(der) for der in chain()[1:]] if chain else None
    return {
        "version": secure.version(),
        "cipher": cipher[0] if cipher else None,
        "alpn": secure.selected_alpn_protocol(),
        "certificate": certificate_facts(secure.getpeercert(binary_form=True) or b""),
        "chain": others,
    }


def certificate_facts(der: bytes) -> dict[str, Any] | None:
    """``None`` where *der* is no certificate."""
    try:
        found = parse(der)
    except Damaged:
        return None
    return {
        "subject": found.subject,
        "issuer": found.issuer,
        "names": found.names[:_NAMES],
        "names_total": len(found.names),
        "not_before": _text(found.not_before),
        "not_after": _text(found.not_after),
        "days_left": round((found.not_after - time.time()) / _DAY_S, 2),
        "valid_yet": found.not_before <= time.time(),
        "self_issued": found.self_issued,
        "serial": found.serial,
        "key": found.key,
    }


def _text(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)
