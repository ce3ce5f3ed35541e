#!/usr/bin/env bash
# install.sh - installs what the tests need and is missing: Debian packages, as root.
# Without root or apt it says what is missing and ends well; the tests that need it then say SKIPPED.
set -euo pipefail
packages=(gcc libc6-dev # the race detector
  iproute2 iputils-ping nftables ethtool iperf3 tcpdump dnsmasq-base udhcpc procps util-linux python3-minimal groff-base
  user-mode-linux debootstrap softether-vpnserver softether-vpncmd freeradius freeradius-utils
  strongswan-charon strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins)
# "install.sh peers" adds what make bench-peers compares vhub with.
[ "${1:-}" != peers ] || packages+=(openvpn tinc vde2 openvswitch-switch n2n softether-vpnserver softether-vpnclient softether-vpncmd)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "install.sh: missing ${missing[*]}: install them as root, or some tests are SKIPPED" >&2
  exit 0
fi
# Debian starts daemons when it installs them; the tests start their own, in namespaces.
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# The lists may be old, or not there yet: then what apt says of it would only mislead.
apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
echo "install.sh: installed ${missing[*]}"
