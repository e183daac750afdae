#!/usr/bin/env bash
# Stops the daemon, which drains within its grace period. CodeDeploy runs the copy of the revision installed last, even
# if that never became valid, and none on the first deployment. It always succeeds, or no deployment could fix a broken
# state.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

if ! systemctl stop "$unit"; then
    echo "$unit could not be stopped; going on, before_install.sh tries again" >&2
fi
