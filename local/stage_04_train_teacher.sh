#!/usr/bin/env bash
# Stage 4: trains the teacher on speaker labels; an interrupted training goes on from its last checkpoint.
# With --teacher-nnet3 or --teacher-onnx, reads that network instead; with --teacher-embeddings, there is nothing to train.
# usage: local/stage_04_train_teacher.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

if [ -n "$teacher_embeddings" ]; then
  log "no teacher to train: its embeddings are given, $teacher_embeddings"
  exit
fi

outputs=(--output "$teacher_dir/config.yaml" --output "$teacher_dir/$teacher_file")
if [ -n "$teacher_nnet3$teacher_onnx" ]; then
  file="$teacher_nnet3$teacher_onnx" command=(pyscripts/import_kaldi_nnet.py)
  if [ -n "$teacher_onnx" ]; then command=(pyscripts/import_onnx.py --levels "$levels"); fi
  mapfile -t config_inputs < <(config_inputs "$teacher_input")
  queue "$teacher_dir/.done" "read the teacher $file" "${outputs[@]}" "${config_inputs[@]}" --input "$file" -- \
    python3 "${command[@]}" --config "$teacher_input" "${input_overrides[@]}" "$file" "$teacher_dir"
  # shellcheck disable=SC2086
  run_queue "$teacher_dir/log" import $data_cmd
  exit
fi

# shellcheck source=local/init_model.sh
. local/init_model.sh
init_model_for teacher "$teacher_dir"
config="conf/teachers/$teacher.yaml"
mapfile -t config_inputs < <(config_inputs "$config")
train_sets >/dev/null  # which says what is missing
mapfile -t training_inputs < <(training_inputs teacher)
mapfile -t training_options < <(training_options)
if "$force"; then run rm -rf "$teacher_dir/checkpoints"; fi
outputs+=(--output "$teacher_dir/classifier.safetensors")
queue "$teacher_dir/.done" "train the teacher $teacher, seed $seed" "${outputs[@]}" \
  "${config_inputs[@]}" "${init_inputs[@]}" "${training_inputs[@]}" -- \
  python3 pyscripts/train_teacher.py --config "$config" "${teacher_overrides[@]}" \
  "${init_options[@]}" "${training_options[@]}" "${online_options[@]}" --seed "$seed" "$teacher_dir"
# shellcheck disable=SC2086
run_training "$teacher_dir/log" train $train_cmd --num-threads "$cores"
