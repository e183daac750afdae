#!/usr/bin/env bash
# Starts the daemon, and returns once it has reported that it is ready.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# An earlier revision may have hit the start limit; reset it for this one.
if systemctl is-failed --quiet "$unit"; then
    systemctl reset-failed "$unit"
fi
systemctl start "$unit" || fail_with_journal "$unit did not become ready"
