#!/usr/bin/env bash
# Runs one queued command (local/steps.sh) and, when it has ended well, leaves its mark DONE.
#
# usage: local/cell.sh DONE COMMAND...
#        local/cell.sh [OPTIONS] --line N FILE     the command in line N of FILE; with OPTIONS of
#                                                  pyscripts/run_ranks.py, a training, as several ranks
set -euo pipefail
if [ "${1:-}" = --help ] || [ $# -lt 2 ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
  exit "$([ "${1:-}" = --help ] && echo 0 || echo 1)"
fi
if [[ "$1" = --* ]]; then
  options=()
  while [ "$1" != --line ]; do options+=("$1"); shift; done
  # The file was written with printf %q, so that names with spaces and quotes come through.
  eval "command=($(sed -n "${2}p" "$3"))"
  if [ "${#options[@]}" -gt 0 ]; then
    # local/cell.sh DONE python3 SCRIPT...
    ranks=("${command[2]}" pyscripts/run_ranks.py "${options[@]}" "${command[@]:3}")
    command=("${command[@]:0:2}" "${ranks[@]}")
    # Of several machines, the first leaves the mark.
    if [[ "${options[*]}" =~ --node\ ([0-9]+)/ && "${BASH_REMATCH[1]}" != 1 ]]; then command=("${ranks[@]}"); fi
  fi
  exec "${command[@]}"
fi
done="$1"
shift
rm -f "$done"
"$@"
mv "$done.new" "$done"
