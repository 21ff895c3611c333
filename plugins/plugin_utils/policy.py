# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator allows the plan to do. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


class PolicyError(ValueError):
    """A value of the policy cannot be used: one sentence with option, value and what is accepted."""


@dataclass(frozen=True)
class Policy:
    """The limits of the plan; every field is an option of the filter and a variable ``tune_NAME`` of the role.

    :ivar remedies: ``auto`` acts only on evidence; a list asks for remedies without it.
    :ivar rtt_ms: round-trip time of the path that matters; measured where it is not stated.
    :ivar bandwidth_mbps: bandwidth of that path; the speed of the default route's port where it is not stated.
    :ivar port_range: the ephemeral ports to widen to, lowest and highest.
    :ivar reserved_ports: ports that must never be taken for outgoing connections, as the kernel lists them.
    :ivar keepalive_time_s: idle seconds before the first probe; with the two below 300 + 30 * 5 = 450 s.
    :ivar middlebox_idle_s: the shortest idle timeout of a NAT or firewall on the way, where it is known.
    :ivar asymmetric_interfaces: interfaces on which replies are known to leave by another one.
    :ivar memory_share: share of RAM that all settings together may cost in the worst case.
    :ivar conntrack_memory_share: share of RAM that the connection tracking table may take.
    :ivar wan_rtt_ms: a path is a long one from here on; below it BBR is refused.
    """

    remedies: str | tuple[str, ...] = "auto"
    rtt_ms: float | None = None
    bandwidth_mbps: float | None = None
    port_range: tuple[int, int] = (10240, 65535)
    reserved_ports: str = ""
    keepalive_time_s: int = 300
    keepalive_intvl_s: int = 30
    keepalive_probes: int = 5
    middlebox_idle_s: int | None = None
    somaxconn: int = 4096
    fin_timeout_s: int = 15
    tw_buckets: int = 262144
    buffer_max_bytes: int = 64 << 20
    udp_buffer_bytes: int = 1 << 20
    asymmetric_interfaces: tuple[str, ...] = ()
    memory_share: float = 0.1
    conntrack_memory_share: float = 0.01
    wan_rtt_ms: float = 20.0
    loss_min: float = 0.001
    loss_max: float = 0.15

    @classmethod
    def of(cls, options: dict[str, Any], remedies: list[str]) -> Policy:
        """The policy that *options* describe; *remedies* are the names that exist.

        :raises PolicyError: an unknown option, or a value that cannot be used.
        """
        known = {field.name: field for field in fields(cls)}
        for name in options:
            if name not in known:
                raise PolicyError(f"policy: {name!r} is not an option; accepted are {', '.join(known)}")
        given = {name: _checked(name, value) for name, value in options.items() if value is not None}
        policy = cls(**given)
        if policy.remedies != "auto":
            if isinstance(policy.remedies, str):
                raise PolicyError(f"remedies: {policy.remedies!r} is not accepted; give auto or a list of remedies")
            for name in policy.remedies:
                if name not in remedies:
                    raise PolicyError(f"remedies: {name!r} is not a remedy; accepted are {', '.join(remedies)}")
        return policy


_RANGES: dict[str, tuple[float, float]] = {
    "rtt_ms": (0.01, 60_000),
    "bandwidth_mbps": (0.01, 1_600_000),
    "keepalive_time_s": (1, 32_767),
    "keepalive_intvl_s": (1, 32_767),
    "keepalive_probes": (1, 127),
    "middlebox_idle_s": (1, 10_000_000),
    "somaxconn": (1, 65_535),
    "fin_timeout_s": (1, 3_600),
    "tw_buckets": (1, 1 << 20),
    "buffer_max_bytes": (65_536, 1 << 30),
    "udp_buffer_bytes": (4_096, 1 << 30),
    "memory_share": (0, 1),
    "conntrack_memory_share": (0, 1),
    "wan_rtt_ms": (0, 60_000),
    "loss_min": (0, 1),
    "loss_max": (0, 1),
}
_INTEGERS = {
    "keepalive_time_s",
    "keepalive_intvl_s",
    "keepalive_probes",
    "middlebox_idle_s",
    "somaxconn",
    "fin_timeout_s",
    "tw_buckets",
    "buffer_max_bytes",
    "udp_buffer_bytes",
}


def _checked(name: str, value: Any) -> Any:
    if name in _RANGES:
        low, high = _RANGES[name]
        kind = "a whole number" if name in _INTEGERS else "a number"
        accepted = f"{kind} from {low:g} to {high:g}"
        if isinstance(value, bool):
            raise PolicyError(f"{name}: {value!r} is not accepted; give {accepted}")
        try:
            number = int(value) if name in _INTEGERS else float(value)
        except (TypeError, ValueError):
            raise PolicyError(f"{name}: {value!r} is not accepted; give {accepted}") from None
        if not low <= number <= high:
            raise PolicyError(f"{name}: {value!r} is not accepted; give {accepted}")
        return number
    if name == "port_range":
        return _port_range(value)
    if name in ("remedies", "asymmetric_interfaces") and isinstance(value, (list, tuple)):
        return tuple(str(item) for item in value)
    if name == "asymmetric_interfaces":
        raise PolicyError(f"{name}: {value!r} is not accepted; give a list of interface names")
    return str(value)


def _port_range(value: Any) -> tuple[int, int]:
    parts = value.split() if isinstance(value, str) else value
    try:
        low, high = (int(part) for part in parts)
    except (TypeError, ValueError):
        raise PolicyError(f"port_range: {value!r} is not accepted; give the lowest and the highest port") from None
    if not 1024 <= low < high <= 65535:
        raise PolicyError(f"port_range: {value!r} is not accepted; give two ports from 1024 to 65535, lowest first")
    if low % 2 == high % 2:
        raise PolicyError(
            f"port_range: {value!r} is not accepted; one end must be even and one odd, since connect() takes ports of"
            " one parity first"
        )
    return low, high
