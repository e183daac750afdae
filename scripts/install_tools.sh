#!/usr/bin/env bash
# Installs what the tests run beside Rust, where it is missing. Needs apt-get and the right to install.
set -Eeuo pipefail
trap 'echo "${BASH_SOURCE[0]}:${LINENO}: failed" >&2' ERR

tools=${1:-target/tools}
missing=()
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v shellcheck >/dev/null || missing+=(shellcheck)
# readelf, for what a binary needs.
command -v readelf >/dev/null || missing+=(binutils)
# The stand-in for AWS makes its certificates with it.
command -v openssl >/dev/null || missing+=(openssl)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
# What the spool's test of power cuts watches it with.
command -v strace >/dev/null || missing+=(strace)
# What cuts the network, and sets the clock, for the chaos run.
command -v nft >/dev/null || missing+=(nftables)
command -v ip >/dev/null && command -v tc >/dev/null || missing+=(iproute2)
command -v faketime >/dev/null || missing+=(faketime)
command -v rpmbuild >/dev/null || missing+=(rpm)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
# The browser that the page is tried in, and letters for it.
command -v chromium >/dev/null || missing+=(chromium fonts-dejavu-core)
command -v mosquitto_pub >/dev/null || missing+=(mosquitto-clients)
# Installed, these packages would start a server; only a program of each is wanted.
unpacked=()
command -v promtool >/dev/null || unpacked+=(prometheus)
command -v mosquitto >/dev/null || unpacked+=(mosquitto)
[[ ${#missing[@]} -eq 0 && ${#unpacked[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} ${unpacked[*]}; install them and run make test again" >&2
    exit 1
fi
as_root=()
[[ $(id -u) -eq 0 ]] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
if [[ " ${unpacked[*]} " == *" mosquitto "* ]]; then
    # The libraries it needs; those that are virtual packages are there already.
    mapfile -t libraries < <(apt-cache depends mosquitto | sed -n 's/^  Depends: \(lib.*\)/\1/p')
    missing+=("${libraries[@]}")
fi
if [[ ${#missing[@]} -gt 0 ]]; then
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
for package in "${unpacked[@]}"; do
    mkdir -p "$tools"
    (cd "$tools" && apt-get download -qq "$package" && dpkg-deb --extract "$package"_*.deb . && rm "$package"_*.deb)
done
