#!/usr/bin/env bash
# Stage 5: dumps the teacher's embeddings, all levels from one forward pass. With --teacher-embeddings, checks those
# and writes scripts that name their archives.
# usage: local/stage_05_dump_levels.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

sets="$(data_sets)"
# take_over SET [OPTION...]
take_over() {
  local set="$1" scripts=() script
  shift
  for script in "$teacher_dir/embeddings/$set"/*.scp; do
    if [ -f "$script" ]; then scripts+=(--scp "$script"); fi
  done
  queue "$teacher_dir/embeddings/$set/.done" "embeddings of the teacher: $set, as given" "${scripts[@]}" \
    --input "$teacher_embeddings/$set" --input "$data/$set/utt2spk" -- \
    python3 pyscripts/import_embeddings.py --data-dir "$data/$set" "$@" "$teacher_embeddings/$set" "$teacher_dir"
}
if [ -n "$teacher_embeddings" ]; then
  take_over train --describe
  # shellcheck disable=SC2086
  run_queue "$teacher_dir/log" import_train $data_cmd
  for set in $sets; do
    if [ "$set" = train ]; then continue; fi
    if [ -d "$teacher_embeddings/$set" ]; then
      take_over "$set"
    else
      log "no embeddings of the teacher of $set: no such folder as $teacher_embeddings/$set"
    fi
  done
  # shellcheck disable=SC2086
  run_queue "$teacher_dir/log" import $data_cmd
  exit
fi

# Without students, nobody has a use for what they alone are trained on.
if [ -z "$students" ]; then sets="$(sets_to_read)"; fi
# Levels that nobody scores, for the students that name them. What an earlier run has dumped is kept: without it, all
# that stands on these embeddings would be done again.
dumped="$teacher_dir/embeddings/train/levels"
further="$({ student_list | cut -d' ' -f1 | tr + '\n' | sed "s/^$teacher_name://"
  if [ -f "$dumped" ]; then cat "$dumped"; fi; } \
  | grep -x 'stats[0-9][0-9]*' | sort -u | sed 's/^/+/' | tr -d '\n')" || true
for set in $sets; do
  wanted=all
  if [ "$(without_training_sets "$set")" != "$set" ] || [ "$set" = train ]; then wanted="all$further"; fi
  queue_extraction "$teacher_dir" "$set" "$wanted" "embeddings of the teacher: $set"
done
# shellcheck disable=SC2086
run_queue "$teacher_dir/log" extract $extract_cmd
