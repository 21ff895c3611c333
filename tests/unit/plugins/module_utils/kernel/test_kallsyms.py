# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions at addresses of the kernel."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.kallsyms import Function, functions

_SYMBOLS = """0000000000000000 A fixed_percpu_data
ffffffff81000000 T _text
ffffffff81001000 t ip_rcv_finish_core.isra.0
ffffffff81001800 d a_table
ffffffff81002000 W tcp_v4_rcv
ffffffffc0002000 t nft_do_chain\t[nf_tables]
ffffffffc0001000 t nft_other\t[nf_tables]
"""


def _host(directory: pathlib.Path, text: str) -> Host:
    (directory / "kallsyms").write_text(text)
    return Host(str(directory), str(directory))


def test_the_function_before_an_address(tmp_path: pathlib.Path) -> None:
    host = _host(tmp_path, _SYMBOLS)
    wanted = [0xFFFFFFFF81001010, 0xFFFFFFFF81001900, 0xFFFFFFFF81002000, 0xFFFFFFFFC0001FFF, 0xFFFFFFFFC0002001, 5]
    found = functions(host, wanted)
    core = Function("ip_rcv_finish_core.isra.0", None)
    assert [found.get(address) for address in wanted] == [
        core,
        core,  # data is no function
        Function("tcp_v4_rcv", None),
        Function("nft_other", "nf_tables"),
        Function("nft_do_chain", "nf_tables"),
        None,
    ]
    assert functions(host, []) == {}


def test_hidden_addresses_are_said_to_be(tmp_path: pathlib.Path) -> None:
    host = _host(tmp_path, "0000000000000000 T _text\n0000000000000000 t tcp_v4_rcv\n")
    with pytest.raises(Unavailable, match="kptr_restrict"):
        functions(host, [0xFFFFFFFF81001010])


@pytest.mark.parametrize("text", ["", "\n", "no symbols\n", "zz T name\n"])
def test_damaged_symbols(tmp_path: pathlib.Path, text: str) -> None:
    with pytest.raises(Unavailable):
        functions(_host(tmp_path, text), [1])


def test_no_symbols_at_all(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        functions(Host(str(tmp_path), str(tmp_path)), [1])
