#!/usr/bin/env bash
# Installs the operator's files if they are missing, and checks the configuration before anything is started.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

install -d -m 0755 "${config%/*}"
install -d -m 0700 "${config%/*}/credentials"
if [[ ! -e $config ]]; then
    install -m 0644 /opt/temp-ingest/share/config.toml "$config"
    echo "$config is new: the default of this revision"
fi
systemctl daemon-reload
"$program" check --config "$config"
systemctl enable "$unit"
