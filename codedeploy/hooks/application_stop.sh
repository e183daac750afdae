#!/usr/bin/env bash
# Stops the daemon, which drains within its grace. It comes from the last revision that was installed, also one that was
# never valid, and on the first deployment there is none: it succeeds whatever it finds, or no deployment could mend it.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

if ! systemctl stop "$unit"; then
    echo "$unit could not be stopped; going on, before_install.sh tries again" >&2
fi
