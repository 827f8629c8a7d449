#!/usr/bin/env bash
# Stage 6: distils the students, and trains those that have labels alone.
# usage: local/stage_06_distil_students.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

config="conf/students/$student.yaml"
while read -r levels loss; do
  distilled=()
  if [ "$levels" != label ]; then
    distilled=(--input "conf/losses/$loss.yaml" --input conf/backend.yaml --input "$teacher_dir/embeddings/train/.done")
  fi
  folder="$(student_dir "$levels" "$loss")"
  queue "$folder/.done" "train the student of $levels, $loss" \
    --input "$config" --input conf/inputs --input conf/features \
    --input "$data/train/.done" --input "$teacher_dir/.done" "${distilled[@]}" -- \
    python3 pyscripts/train_student.py --config "$config" "${student_overrides[@]}" \
    --data-dir "$data/train" --seed "$seed" --teacher "$teacher_dir" --levels "$levels" \
    --loss "conf/losses/$loss.yaml" "$folder"
done < <(student_list)
# Small networks train faster side by side than with many threads each.
side_by_side=$((${#queued[@]} < cores ? ${#queued[@]} : cores))
threads=$((side_by_side > 0 ? cores / side_by_side : 1))
# shellcheck disable=SC2086
run_queue "$exp/log" train_students $train_cmd --num-threads "$threads"
