#!/usr/bin/env bash
# Stage 11: export. Folds the back end of every student, and of the teacher's best level, into the network:
# <model>/folded_qr and <model>/folded_lda (docs/folding.md).
# usage: local/stage_11_export.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

folders=() titles=()
# queue_folds MODEL LEVEL TITLE METHOD...
queue_folds() {
  local model="$1" level="$2" title="$3" method folder methods=() places=() outputs=()
  shift 3
  for method in "$@"; do
    folder="$model/folded_$method"
    methods+=(--method "$method") places+=("$folder")
    outputs+=(--output "$folder/config.yaml" --output "$folder/model.safetensors")
    outputs+=(--output "$folder/backend/embedding/plda")
    folders+=("$folder") titles+=("$title, $method")
  done
  queue "$folder/.done" "fold: $title" "${outputs[@]}" --input "$model/config.yaml" \
    --input "$model/model.safetensors" --input "$model/backend/$level/.done" -- \
    python3 pyscripts/fold_model.py "${methods[@]}" --level "$level" --backend "$model/backend/$level" "$model" \
    "${places[@]}"
}

choose_level() {
  python3 pyscripts/model_settings.py --conf conf "$teacher_dir" >"$teacher_dir/best_level.tmp"
  mv "$teacher_dir/best_level.tmp" "$teacher_dir/best_level"
}
if [ -f "$teacher_dir/model.safetensors" ]; then
  inputs=()
  for scores in "$teacher_dir"/scores/*/.done; do if [ -f "$scores" ]; then inputs+=(--input "$scores"); fi; done
  step "$teacher_dir/.done.best_level" "the teacher's best level" "${inputs[@]}" --input "$teacher_dir/config.yaml" \
    --input conf/evaluation.yaml --output "$teacher_dir/best_level" -- run choose_level
  level="$(if [ -f "$teacher_dir/best_level" ]; then cat "$teacher_dir/best_level"; fi)"
  # Its layers are wider than its levels: without loss, none can be made smaller.
  if [ -n "$level" ]; then queue_folds "$teacher_dir" "$level" "teacher, $level" lda; fi
elif ! "$dry_run"; then
  log "the teacher is not folded: its layers are not known here"
fi
while read -r levels loss; do
  queue_folds "$(student_dir "$levels" "$loss")" embedding "student of $levels, $loss" qr lda
done < <(student_list)
# shellcheck disable=SC2086
run_queue "$exp/log" fold $score_cmd
if "$dry_run"; then exit; fi
for i in "${!folders[@]}"; do
  # What it had stands in the section, what it has behind it.
  sizes="$(sed -n '/^folded:/,/^parameters:/s/^ *parameters: //p' "${folders[i]}/config.yaml")"
  log "${titles[i]}: ${sizes#*$'\n'} parameters from ${sizes%$'\n'*}, in ${folders[i]}"
done
