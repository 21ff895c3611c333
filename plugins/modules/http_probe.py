#!/usr/bin/python
# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: http_probe
short_description: Where the time of a web request goes, what a certificate is worth, whether a port is open
version_added: 0.1.0
description:
  - Requests each of O(urls) from the target several times at every address of its host, and tells how long the name
    lookup, the TCP connection, the TLS handshake, the first byte and the transfer take, as C(curl -w) would.
  - Tells the TLS version, the cipher, and the certificate with its expiry, also where the certificate is not accepted.
  - Connects to each of O(targets), as C(nc -zv) would, and tells apart a port that is open, refused (nobody listens),
    filtered (a firewall drops the SYN), unreachable or prohibited (a router or firewall says so), and a host that has
    no local port left.
  - Redirects are not followed; credentials, cookies and proxies of the target are not used. A server whose certificate
    is not accepted does not get O(headers).
  - Needs no privilege, and leaves nothing behind.
author:
  - nettriage maintainers (@nettriage)
extends_documentation_fragment:
  - nettriage.linux.attributes
  - nettriage.linux.attributes.read_only
  - nettriage.linux.target
options:
  urls:
    description: URLs to request, V(http) or V(https), at most 20.
    type: list
    elements: str
    default: []
  targets:
    description:
      - TCP ports to connect to, as V(HOST:PORT) or V([ADDRESS]:PORT), at most 50. Nothing is sent.
    type: list
    elements: str
    default: []
  method:
    description: The request's method.
    type: str
    choices: [GET, HEAD]
    default: GET
  headers:
    description:
      - Headers to send as well, or instead of the module's own.
      - Their values are not logged, and hidden wherever they occur in the result, except those that tell nothing, such
        as C(Host) and C(Accept), and those of fewer than four characters.
    type: dict
  validate_certs:
    description:
      - Whether certificates are checked. They are described in either case.
    type: bool
    default: true
  ca_path:
    description:
      - A file or directory with the certificates to trust in PEM form, instead of the target's own.
    type: path
  count:
    description: How many times each address is tried, from 1 to 20.
    type: int
    default: 3
  timeout:
    description: Seconds for one attempt at one address, with all of its phases, from 0.1 to 60.
    type: float
    default: 5
  deadline:
    description: Seconds after which the module ends with what it has, from 1 to 300.
    type: float
    default: 30
  max_bytes:
    description: How much of a body is read, from V(0) to 64 MiB.
    type: int
    default: 1048576
seealso:
  - module: nettriage.linux.dns_probe
  - module: nettriage.linux.health_facts
"""

EXAMPLES = r"""
- name: Where does the time of this request go?
  nettriage.linux.http_probe:
    urls: [https://api.example.com/health]
  register: http

- name: The phase that takes most, at each address
  ansible.builtin.debug:
    msg: "{{ item.slow_phase }}: {{ item.phases }}"
  loop: "{{ http.urls[0].addresses }}"

- name: Can this host reach its database and its cache, or does a firewall stand between them?
  nettriage.linux.http_probe:
    targets: ["db.example.com:5432", "[2001:db8::7]:6379"]

- name: Say what is wrong, certificates that run out soon among it
  ansible.builtin.debug:
    msg: "{{ {'http': http} | nettriage.linux.findings }}"
"""

RETURN = r"""
available:
  description: Always V(true); the result has the form of the facts' subset C(http).
  returned: success
  type: bool
limited:
  description: One sentence for each thing that could not be seen.
  returned: success
  type: list
  elements: str
  sample: []
urls:
  description: One row for each URL.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: As it was given.
      type: str
    host:
      description: Its host.
      type: str
    port:
      description: Its port.
      type: int
    lookup:
      description:
        - What the C library said for the host. C(addresses), C(addresses_total), C(latency_ms), C(error),
          C(error_code), C(timed_out). For an address there was nothing to look up, and C(latency_ms) is null.
      type: dict
    outcome:
      description:
        - V(ok), V(partial) where only some attempts went well, V(lookup_failed), or how the first address failed.
        - A port that is open is V(ok).
      type: str
    addresses_ok:
      description: At how many addresses every attempt went well.
      type: int
    slowest:
      description: The address with the largest median time, its time, and the phase that takes most of it.
      type: dict
      sample: {"address": "192.0.2.1", "phase": "first_byte", "share": 0.99, "total_ms": 1818.3,
               "phases_ms": {"connect": 4.1, "first_byte": 1807.2, "lookup": 2.5, "tls": 4.4, "transfer": 0.1}}
    addresses:
      description: One row for each address, at most 8.
      type: list
      elements: dict
      contains:
        address:
          description: The address.
          type: str
        family:
          description: V(ipv4) or V(ipv6).
          type: str
        runs:
          description: How many attempts there were. An address that does not answer is not tried to the end.
          type: int
        ok:
          description: How many of them went well.
          type: int
        outcome:
          description:
            - V(ok), or the most frequent failure. V(refused), V(filtered), V(unreachable), V(prohibited), V(reset),
              V(closed), V(timeout), V(local_ports_exhausted), V(no_source_address), V(tls_failed), V(damaged_answer),
              V(error). V(not_tried) where time was over.
          type: str
        outcomes:
          description: How often each of these.
          type: dict
        failed_phase:
          description: In which phase it failed.
          type: str
        error:
          description: The failure in words.
          type: str
        phases:
          description:
            - C(lookup_ms), C(connect_ms), C(tls_ms), C(first_byte_ms) (from the request to the first byte of the
              answer) and C(transfer_ms) (from there to its end), each with C(min), C(median), C(p95) and C(max).
            - Null where a phase did not happen.
          type: dict
        total_ms:
          description: All phases together, of the attempts that went well.
          type: dict
        shares:
          description: What part of the median time each phase takes.
          type: dict
        slow_phase:
          description: The phase that takes most of the time.
          type: str
        status:
          description: The status of the last answer.
          type: int
        statuses:
          description: How often each status came.
          type: dict
        http_version:
          description: Of the last answer.
          type: str
        location:
          description: Where a redirect would lead to.
          type: str
        body_bytes:
          description: How much of the body was read.
          type: int
        body_whole:
          description: Whether that was all of it.
          type: bool
        headers_withheld:
          description: Whether O(headers) were not sent since the certificate is not accepted.
          type: bool
        tls:
          description:
            - C(version), C(cipher) and C(alpn).
            - C(verified) is whether the target accepts the certificate, C(problem) and C(problem_code) tell why not in
              the words and the numbers of OpenSSL.
            - C(certificate) has C(subject), C(issuer), C(names), C(names_total), C(not_before), C(not_after),
              C(days_left), C(valid_yet), C(self_issued), C(serial) and C(key). C(chain) are the same of the other
              certificates that the server sent, null before Python 3.13.
            - Null without TLS.
          type: dict
targets:
  description:
    - One row for each target, as in RV(urls), but without what belongs to HTTP and TLS.
    - Its addresses have C(connect_ms) instead of phases.
  returned: success
  type: list
  elements: dict
duration_ms:
  description: How long all of it took.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.nettriage.linux.plugins.module_utils import compile_once

compile_once.enable()

from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_probe import http_probe
from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_url import secrets
from ansible_collections.nettriage.linux.plugins.module_utils.target import TARGET_SPEC, run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TARGET_SPEC,
            "urls": {"type": "list", "elements": "str", "default": []},
            "targets": {"type": "list", "elements": "str", "default": []},
            "method": {"type": "str", "choices": ["GET", "HEAD"], "default": "GET"},
            "headers": {"type": "dict", "no_log": True},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "count": {"type": "int", "default": 3},
            "timeout": {"type": "float", "default": 5},
            "deadline": {"type": "float", "default": 30},
            "max_bytes": {"type": "int", "default": 1048576},
        },
        supports_check_mode=True,
    )
    module.no_log_values = secrets(module.params)
    run(module, http_probe)


if __name__ == "__main__":
    main()
