#!/usr/bin/env bash
# Refuses a binary that needs a newer C library than Amazon Linux 2023 has: it would not start there. Prints what it needs.
set -Eeuo pipefail
trap 'echo "${BASH_SOURCE[0]}:${LINENO}: failed" >&2' ERR

binary=$1
newest=2.34
needed=$(readelf --version-info "$binary" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort --version-sort | tail -1)
if [[ $(printf '%s\n' "$needed" "$newest" | sort --version-sort | tail -1) != "$newest" ]]; then
    echo "$binary needs GLIBC_$needed, Amazon Linux 2023 has $newest: build it on a system as old" >&2
    exit 1
fi
echo "$needed"
