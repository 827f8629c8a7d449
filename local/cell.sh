#!/usr/bin/env bash
# Runs one queued command (local/steps.sh) and, when it has ended well, leaves its mark DONE.
#
# usage: local/cell.sh DONE COMMAND...
#        local/cell.sh --line N FILE     the command in line N of FILE
set -euo pipefail
if [ "${1:-}" = --help ] || [ $# -lt 2 ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
  exit "$([ "${1:-}" = --help ] && echo 0 || echo 1)"
fi
if [ "$1" = --line ]; then
  command="$(sed -n "${2}p" "$3")"
  # The file was written with printf %q, so that names with spaces and quotes come through.
  eval "exec $command"
fi
done="$1"
shift
rm -f "$done"
"$@"
mv "$done.new" "$done"
