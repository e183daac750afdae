#!/usr/bin/env bash
# Rejects a machine on which the program would not start, and a damaged revision, while the earlier one is still in
# place.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# architecture and glibc, as `make bundle` read them from the program.
read -r architecture glibc <"$revision/requirements"

machine=$(uname -m)
if [[ $machine != "$architecture" ]]; then
    echo "this revision is for $architecture, and this machine is $machine: deploy the bundle built for it" >&2
    exit 1
fi
found=$(getconf GNU_LIBC_VERSION)
found=${found#glibc }
if [[ $(printf '%s\n' "$glibc" "$found" | sort --version-sort | head -1) != "$glibc" ]]; then
    echo "this revision needs glibc $glibc, and this machine has $found: use Amazon Linux 2023 or newer" >&2
    exit 1
fi
(cd "$revision" && sha256sum --check --quiet --strict SHA256SUMS)

# A running program cannot be overwritten. ApplicationStop has stopped it already, except on the agent's first
# deployment.
if systemctl is-active --quiet "$unit"; then
    systemctl stop "$unit"
fi
