# shellcheck shell=sh
# How many versions there are now: 1 is a new one. It waits for the operator; one that runs goes on with the new files
# once the old ones are gone.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ "$1" -eq 1 ]; then
        echo "temp-ingest is installed and not started: edit /etc/temp-ingest/config.toml,"
        echo "then: temp-ingest check && systemctl enable --now temp-ingest"
    fi
fi
