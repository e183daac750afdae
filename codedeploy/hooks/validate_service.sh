#!/usr/bin/env bash
# The deployment is valid if the daemon delivers: it gets a test reading and must bring it to its sink. Readings from
# sources prove nothing, because a quiet source is no fault and a simulated one no proof.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

main=$(systemctl show --property MainPID --value "$unit")
[[ $main -ne 0 ]] || fail_with_journal "$unit does not run"

# The listen address, if a drop-in overrides the file. A process can write its own environment, so only an address is
# taken from it.
address='([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}'
listen=()
while IFS= read -r -d '' variable; do
    if [[ $variable =~ ^TEMP_INGEST__DASHBOARD__LISTEN=$address$ ]]; then
        listen=("$variable")
    fi
done <"/proc/$main/environ"

# As nobody, since it only makes a request; what it prints comes from the daemon.
setpriv --reuid nobody --regid "$(id --group nobody)" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all \
    env --ignore-environment "${listen[@]}" "$program" canary --config "$config" --within 30s 2>&1 | as_text ||
    fail_with_journal "the deployment is not valid: a reading of its own did not arrive"
