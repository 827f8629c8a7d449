#!/usr/bin/env bash
# Stage 6: distils the students, and trains those that have labels alone.
# usage: local/stage_06_distil_students.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

# shellcheck source=local/init_model.sh
. local/init_model.sh
config="conf/students/$student.yaml"
mapfile -t config_inputs < <(config_inputs "$config")
sets="$(train_sets)"
unlabelled="$(distilled_sets)"
mapfile -t training_inputs < <(training_inputs student)
mapfile -t training_options < <(training_options)
# Of the back end's values, targets know one.
mapfile -t pca_dim < <(flags_of "$backend_set" pca_dim)
while read -r levels loss; do
  inputs=() options=() teachers=("$teacher_dir") folders=("$teacher_dir")
  if [ "$levels" != label ]; then
    mapfile -t inputs < <(config_inputs "conf/losses/$loss.yaml"; for set in $unlabelled; do
      set_inputs student "$set"
      shards_input student "$set"
    done)
    for set in $unlabelled; do options+=(--unlabelled-dir "$data/$set"); done
    options+=(--loss "conf/losses/$loss.yaml" "${pca_dim[@]}")
    mapfile -t names < <(named_teachers "$levels")
    if [ "${#names[@]}" -gt 0 ]; then teachers=("$teacher_name=$teacher_dir"); fi
    for name in "${names[@]}"; do
      if [ "$name" != "$teacher_name" ]; then
        folders+=("$(named_teacher_dir "$name")")
        teachers+=("$name=${folders[-1]}")
      fi
    done
    for folder in "${folders[@]}"; do
      if [ "$folder" != "$teacher_dir" ]; then inputs+=(--input "$folder/.done"); fi
      for set in $sets $unlabelled; do
        inputs+=(--input "$folder/embeddings/$set/.done")
        [ "$folder" = "$teacher_dir" ] || "$dry_run" || [ -f "$folder/embeddings/$set/.done" ] \
          || die "--students '$levels': $folder has no embeddings of $set; stage 5 with that --teacher and all other options as here makes them"
      done
    done
    inputs+=(--input conf/backend.yaml)
    # The teacher's posteriors are those of its classifier.
    if [ -f "$teacher_dir/classifier.safetensors" ]; then inputs+=(--input "$teacher_dir/classifier.safetensors"); fi
  fi
  folder="$(student_dir "$levels" "$loss")"
  init_model_for student "$folder"
  if "$force"; then run rm -rf "$folder/checkpoints"; fi
  queue "$folder/.done" "train the student of $levels, $loss" \
    --output "$folder/config.yaml" --output "$folder/model.safetensors" \
    "${config_inputs[@]}" "${inputs[@]}" "${init_inputs[@]}" "${training_inputs[@]}" --input "$teacher_done" -- \
    python3 pyscripts/train_student.py --config "$config" "${student_overrides[@]}" \
    "${training_options[@]}" "${online_options[@]}" --seed "$seed" "${teachers[@]/#/--teacher=}" --levels "$levels" \
    "${options[@]}" "${init_options[@]}" "$folder"
done < <(student_list)
# Small networks train faster side by side than with many threads each. Those that are trained already count as well: with
# other threads a sum rounds otherwise, and a student that is trained again would become another.
side_by_side="$(student_list | wc -l)"
side_by_side=$((side_by_side < cores ? side_by_side : cores))
if [ "$nnodes" -gt 1 ]; then side_by_side=1; fi
threads=$((side_by_side > 0 ? cores / side_by_side : 1))
threads=$((threads > nproc ? threads : nproc))
# shellcheck disable=SC2086
run_training "$exp/log" train_students $train_cmd --num-threads "$threads"
