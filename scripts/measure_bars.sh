#!/usr/bin/env bash
# Measures the figures of docs/design/figures.md with the release build: what 1 million readings through the embedded path take, and
# what an idle daemon holds.
set -Eeuo pipefail
trap 'echo "${BASH_SOURCE[0]}:${LINENO}: failed" >&2' ERR

binary=${1:-target/release/temp-ingest}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export STATE_DIRECTORY=$dir/state TEMP_INGEST__DASHBOARD__LISTEN=127.0.0.1:0

peak_kib() { awk '/^VmHWM/ {print $2}' "/proc/$1/status"; }

cat >"$dir/million.toml" <<'TOML'
sink = "embedded"
[source.house]
kind = "simulate"
profile = "temperature"
sensors = 1000
count = 1000000
speed = "max"
seed = 42
TOML
"$binary" run --config "$dir/million.toml" >"$dir/incidents" 2>"$dir/log" &
pid=$!
peak=0
while peak_now=$(peak_kib "$pid" 2>/dev/null) && [[ -n $peak_now ]]; do
    peak=$peak_now
    sleep 0.05
done
wait "$pid"
echo "1,000,000 readings of 1,000 sensors, embedded: peak memory $((peak / 1024)) MiB, $(wc -l <"$dir/incidents") lines of incidents"
grep -o 'ended produced=.*' "$dir/log"
awk '/ready metrics=/ {start = $1} / ended produced=/ {end = $1} END {print "from", start, "to", end}' "$dir/log"

cat >"$dir/idle.toml" <<'TOML'
sink = "embedded"
[source.house]
kind = "simulate"
profile = "temperature"
sensors = 10
TOML
rm -rf "$STATE_DIRECTORY"
"$binary" run --config "$dir/idle.toml" >/dev/null 2>"$dir/log" &
pid=$!
sleep 30
echo "10 sensors at one reading a second, 30 s: peak memory $(peak_kib "$pid") KiB"
kill -TERM "$pid"
wait "$pid"
