#!/usr/bin/env bash
# Stage 0: the environment: an active one that has the packages is used as it is, else .venv is made. Then
# checks every configuration file of the run.
# usage: local/stage_00_environment.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

run local/make_environment.sh
# shellcheck source=path.sh
. ./path.sh

inputs=() students_there=()
# A run that stops before they are distilled may have a teacher without the levels of the students named by default.
if [ "$stop_stage" -ge 6 ]; then
  while read -r spec loss; do
    if [ "$spec" != label ]; then students_there+=(--distil "$spec" "conf/losses/$loss.yaml"); fi
  done < <(student_list)
fi
for loss in $(distillation_losses); do inputs+=(--input "conf/losses/$loss.yaml"); done
augmentation_files=("$augmentation_config" conf/augmentation/eval_noisy.yaml)
for file in "$corpus_config" "conf/teachers/$teacher.yaml" "conf/students/$student.yaml" "${augmentation_files[@]}"; do
  mapfile -t -O "${#inputs[@]}" inputs < <(config_inputs "$file")
done
for file in conf/noise.yaml conf/backend.yaml conf/evaluation.yaml conf/extraction.yaml conf/shards.yaml; do
  inputs+=(--input "$file")
done
given=()
if [ -n "$teacher_nnet3$teacher_onnx" ]; then
  mapfile -t -O "${#inputs[@]}" inputs < <(config_inputs "$teacher_input")
  inputs+=(--input "$teacher_nnet3$teacher_onnx")
  given=(--teacher-nnet3 "$teacher_nnet3" --teacher-input "$teacher_input")
  if [ -n "$teacher_onnx" ]; then given=(--teacher-onnx "$teacher_onnx" --levels "$levels" --teacher-input "$teacher_input"); fi
fi
if [ -n "$teacher_embeddings" ]; then
  for script in "$teacher_embeddings"/train/*.scp; do inputs+=(--input "$script"); done
  given=(--teacher-embeddings "$teacher_embeddings")
fi
for name in corpus teacher student; do
  values="${name}_set"
  if [[ " $given_options " = *" $name "* && " $given_options " != *" $values "* && -n "${!values}" ]]; then
    log "--$name ${!name} has what the preset $preset replaces, ${!values}; without that, give --${name}-set \"\""
  fi
done
step "$exp/.done.config" "configuration" "${inputs[@]}" -- \
  run python3 pyscripts/check_config.py --corpus "$corpus_config" "${corpus_overrides[@]/#--set/--corpus-set}" \
  --teacher "conf/teachers/$teacher.yaml" "${teacher_overrides[@]/#--set/--teacher-set}" "${given[@]}" \
  --student "conf/students/$student.yaml" "${student_overrides[@]/#--set/--student-set}" \
  --augmentation "${augmentation_files[@]}" "${noise_overrides[@]/#--set/--noise-set}" \
  "${backend_overrides[@]/#--set/--backend-set}" "${evaluation_overrides[@]}" \
  --teacher-name "$teacher_name" "${students_there[@]}"
