#!/usr/bin/env bash
# Valid is a daemon that delivers: it is given a reading of our own and has to bring it to its sink. What sources give
# proves nothing, for a quiet one is no fault and a simulated one no merit.
# shellcheck source=codedeploy/hooks/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

main=$(systemctl show --property MainPID --value "$unit")
[[ $main -ne 0 ]] || fail_with_journal "$unit does not run"
# Its own environment, where a drop-in may say something else than the file.
mapfile -d '' environment <"/proc/$main/environ"
env --ignore-environment "${environment[@]}" "$program" canary --config "$config" --within 30s ||
    fail_with_journal "the deployment is not valid: a reading of its own did not arrive"
