#!/usr/bin/env bash
# Stage 4: trains the teacher on speaker labels; an interrupted training goes on from its last checkpoint.
# usage: local/stage_04_train_teacher.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

config="conf/teachers/$teacher.yaml"
mapfile -t config_inputs < <(config_inputs "$config")
if "$force"; then run rm -rf "$teacher_dir/checkpoints"; fi
queue "$teacher_dir/.done" "train the teacher $teacher, seed $seed" \
  "${config_inputs[@]}" --input "$data/train/.done" -- \
  python3 pyscripts/train_teacher.py --config "$config" "${teacher_overrides[@]}" \
  --data-dir "$data/train" --seed "$seed" "$teacher_dir"
# shellcheck disable=SC2086
run_queue "$teacher_dir/log" train $train_cmd --num-threads "$cores"
