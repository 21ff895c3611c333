#!/bin/sh
# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# state.sh remember|compare: everything that the scenario "tune" could change, kernel and files, then and now.
state() {
  cd /proc/sys/net
  grep -s . core/somaxconn ipv4/tcp_fin_timeout ipv4/tcp_keepalive_* ipv4/tcp_max_syn_backlog netfilter/nf_conntrack_tcp_timeout_time_wait
  grep -s . /etc/sysctl.d/* /etc/modules-load.d/*
  true # what is not there is no error
}

case $1 in
  remember) state > /root/state ;;
  compare) state | diff /root/state - ;;
esac
