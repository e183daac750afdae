#!/bin/sh
# After the files are gone. Readings that were not delivered are nobody's to delete but the operator's.
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
if [ "$1" = purge ] && [ -d /var/lib/private/temp-ingest ]; then
    echo "left: /var/lib/private/temp-ingest, what was not delivered perhaps; delete it yourself"
fi
