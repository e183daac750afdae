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

# Passes the daemon's output on as plain text: without terminal control characters, and with its lines cut so that they
# cannot push out the rest.
as_text() {
    LC_ALL=C tr --delete '\000-\010\013-\037\177' | LC_ALL=C cut --bytes 1-300
}

# The daemon's last messages, then the failure: CodeDeploy shows only the end of a hook's output.
fail_with_journal() {
    {
        journalctl --unit "$unit" --lines 8 --no-pager --output cat || echo "(there is no journal)"
        systemctl show --property ActiveState,Result,StatusText "$unit" || echo "(there is no unit)"
    } 2>&1 | as_text >&2
    echo "$1" >&2
    exit 1
}
