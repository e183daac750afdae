# Shared by the hooks, which CodeDeploy's agent runs as root in /.
# shellcheck shell=bash
set -Eeuo pipefail
trap 'echo "${BASH_SOURCE[0]}:${LINENO}: failed" >&2' ERR

# shellcheck disable=SC2034 # the hooks use them
{
    unit=temp-ingest.service
    program=/opt/temp-ingest/bin/temp-ingest
    config=/etc/temp-ingest/config.toml
    revision=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
}

# What the daemon said last, for whoever reads why the deployment failed; then the failure.
fail_with_journal() {
    echo "$1" >&2
    systemctl status --no-pager --lines 0 "$unit" >&2 || echo "(the unit is not active)" >&2
    journalctl --unit "$unit" --lines 40 --no-pager --output cat >&2
    exit 1
}
