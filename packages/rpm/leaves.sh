# shellcheck shell=sh
# How many versions will be left: with 0 it drains; what the stream does not take stays in /var/lib/private/temp-ingest.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl disable --now temp-ingest.service
fi
