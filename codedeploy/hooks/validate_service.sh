#!/usr/bin/env bash
# Valid is a daemon that delivers: it is given a reading of our own and has to bring it to its sink. What sources give
# proves nothing, for a quiet one is no fault and a simulated one no merit.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

main=$(systemctl show --property MainPID --value "$unit")
[[ $main -ne 0 ]] || fail_with_journal "$unit does not run"

# Where it listens, if a drop-in says something else than the file. A process can write its own environment: nothing is
# taken from it but an address.
address='([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}'
listen=()
while IFS= read -r -d '' variable; do
    if [[ $variable =~ ^TEMP_INGEST__DASHBOARD__LISTEN=$address$ ]]; then
        listen=("$variable")
    fi
done <"/proc/$main/environ"

# As nobody, since it only asks; and what it prints comes from the daemon.
setpriv --reuid nobody --regid "$(id --group nobody)" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    env --ignore-environment "${listen[@]}" "$program" canary --config "$config" --within 30s 2>&1 | as_text ||
    fail_with_journal "the deployment is not valid: a reading of its own did not arrive"
