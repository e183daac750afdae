#!/bin/sh
# After the files are in place: a daemon that runs goes on with them; a new one waits for the operator.
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -n "$2" ]; then
        systemctl try-restart temp-ingest.service
    else
        echo "temp-ingest is installed and not started: edit /etc/temp-ingest/config.toml,"
        echo "then: temp-ingest check && systemctl enable --now temp-ingest"
    fi
fi
