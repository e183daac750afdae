#!/bin/sh
# Before the files go. It drains: what the stream does not take meanwhile stays in /var/lib/private/temp-ingest.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now temp-ingest.service
fi
