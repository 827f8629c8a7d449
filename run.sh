#!/usr/bin/env bash
# Trains an x-vector teacher, distils its levels into small students, and compares their error rates.
#
# usage: ./run.sh [options]
#
#  0  environment            4  train the teacher          8  back ends: LDA, PLDA
#  1  corpus and trials      5  dump the teacher's levels  9  scores
#  2  augmentation           6  distil the students       10  results
#  3  features, VAD          7  extract the students      11  export
#
# Each stage is a script, local/stage_NN_*.sh, that takes the same options and can be run alone.
# --apply MODEL --eval-dir DIR applies a finished model to new data instead (local/apply.sh).
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/local/common.sh"

if [ -n "$apply" ]; then
  cd "$called_from"
  exec "$OLDPWD/local/apply.sh" "$@"
fi

if ! "$dry_run"; then
  # What is in force, on the screen and beside the experiment.
  mkdir -p "$exp"
  for name in $allowed_options; do printf '%s=%q\n' "$name" "${!name}"; done | sort >"$exp/options.txt" \
    || die "$exp/options.txt: cannot be written; free space, or name another folder with --exp-root"
  log "options in force (also in $exp/options.txt):"
  paste -s -d' ' "$exp/options.txt" | fold -s -w 110 | sed 's/^/    /' >&2
fi

SECONDS=0
for script in local/stage_[0-9][0-9]_*.sh; do
  number="${script#local/stage_}"
  name="${number#*_}"
  name="${name%.sh}"
  number=$((10#${number%%_*}))
  if [ "$number" -lt "$stage" ] || [ "$number" -gt "$stop_stage" ] || [[ " $skip_stages " == *" $number "* ]]; then
    continue
  fi
  log "stage $number: ${name//_/ }"
  (cd "$called_from" && "$OLDPWD/$script" "$@") || {
    status=$?
    # A signal, such as that of Ctrl-C, is no failure of the stage.
    if [ "$status" -gt 128 ]; then log "stopped in stage $number; ./run.sh goes on from there"; exit "$status"; fi
    die "stage $number (${name//_/ }) failed; mend it and repeat with --stage $number"
  }
done
log "done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
