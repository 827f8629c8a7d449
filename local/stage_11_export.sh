#!/usr/bin/env bash
# Stage 11: export. Folds the back end of every student, and of the teacher's best level, into the network:
# <model>/folded_qr and <model>/folded_lda (docs/folding.md). Then writes the students that --export names as ONNX files,
# <model>/export, and measures these (docs/deployment.md).
# usage: local/stage_11_export.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=local/results.sh
. local/results.sh

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
  python3 pyscripts/model_settings.py --conf conf "$@" "$teacher_dir" >"$teacher_dir/best_level.tmp"
  mv "$teacher_dir/best_level.tmp" "$teacher_dir/best_level"
}
if [ -f "$teacher_dir/model.safetensors" ]; then
  mapfile -t inputs < <(inputs_there "$teacher_dir"/scores/*/.done)
  step "$teacher_dir/.done.best_level" "the teacher's best level" "${inputs[@]}" --input "$teacher_dir/config.yaml" \
    --input conf/evaluation.yaml --output "$teacher_dir/best_level" -- run choose_level "${evaluation_overrides[@]}"
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
if ! "$dry_run"; then
  for i in "${!folders[@]}"; do
    # What it had stands in the section, what it has behind it.
    sizes="$(sed -n '/^folded:/,/^parameters:/s/^ *parameters: //p' "${folders[i]}/config.yaml")"
    log "${titles[i]}: ${sizes#*$'\n'} parameters from ${sizes%$'\n'*}, in ${folders[i]}"
  done
fi

# The student that is best on dev: its folder, in $exp/best_student.
choose_student() {
  python3 pyscripts/best_model.py --evaluation conf/evaluation.yaml "$@" >"$exp/best_student.tmp"
  mv "$exp/best_student.tmp" "$exp/best_student"
}
find_best_student() {
  local levels loss students_there=() inputs
  while read -r levels loss; do
    students_there+=("$(student_dir "$levels" "$loss")")
  done < <(student_list)
  if [ "${#students_there[@]}" -eq 0 ]; then return; fi
  mapfile -t inputs < <(inputs_there "${students_there[@]/%//scores/embedding/.done}")
  step "$exp/.done.best_student" "the best student" "${inputs[@]}" --input conf/evaluation.yaml \
    --output "$exp/best_student" -- run choose_student "${evaluation_overrides[@]}" "${students_there[@]}"
}
# Folder and title, with a tab between, of the students that are exported.
exported_students() {
  local levels loss folder words="$export"
  if [[ "$export" = best || "$export" = all ]]; then words="$students"; fi
  while read -r levels loss; do
    folder="$(student_dir "$levels" "$loss")"
    # Before stage 9, a dry run takes it that the first is the best.
    if [ "$export" != best ] || [ "$folder" = "$(cat "$exp/best_student" 2>/dev/null || echo "$folder")" ]; then
      printf '%s\t%s\n' "$folder" "student of $levels, $loss"
      if [ "$export" = best ]; then break; fi
    fi
  done < <(student_list "$words")
}
if [ "$export" = best ]; then find_best_student; fi
mapfile -t exported < <(exported_students)

for line in "${exported[@]}"; do
  IFS=$'\t' read -r folder title <<<"$line"
  mapfile -t outputs < <(listed --output "$folder/export/files")
  mapfile -t inputs < <(set_inputs student train)
  queue "$folder/export/.done" "export: $title" "${outputs[@]}" --output "$folder/export/plda" \
    --input "$folder/folded_lda/.done" --input conf/export.yaml --input conf/extraction.yaml "${inputs[@]}" -- \
    python3 pyscripts/export_model.py --config conf/export.yaml --extraction conf/extraction.yaml \
    --data-dir "$data/train" "$folder/folded_lda" "$folder/export"
done
# shellcheck disable=SC2086
run_queue "$exp/log" export $score_cmd

# Exported networks are measured on the sets with trials, other than those that this recipe has degraded: of these there
# are features only.
measured_sets() {
  local set
  for set in $(scored_sets "$1" embedding); do
    if [[ " ${derived_sets[*]} " != *" $set "* ]]; then echo "$set"; fi
  done
}
# queue_measuring FOLDER TITLE READS STEM SET...: the embeddings that STEM.onnx and STEM.int8.onnx give of sets.
queue_measuring() {
  local export="$1/export" title="$2" reads="$3" stem="$4" set name inputs=() outputs=() folders=() pipes=()
  shift 4
  if "$allow_pipes"; then pipes=(--allow-pipes); fi
  for set in "$@"; do
    folders+=("$data/$set")
    for name in "$stem" "$stem.int8"; do outputs+=(--scp "$export/embeddings/$name/$set/embedding.scp"); done
  done
  mapfile -t inputs < <(set_inputs student "$@")
  queue "$export/embeddings/.done.$reads" "embeddings of the exported $title, from $reads" "${outputs[@]}" \
    --input "$export/.done" "${inputs[@]}" -- \
    python3 pyscripts/extract_exported.py "${pipes[@]}" --model "$export/$stem.onnx" --model "$export/$stem.int8.onnx" \
    "$export/embeddings" "${folders[@]}"
}
# queue_scoring FOLDER TITLE READS STEM SET...: their scores.
queue_scoring() {
  local export="$1/export" folded="$1/folded_lda" title="$2" reads="$3" name set folders=() outputs=()
  local names=("$4" "$4.int8")
  shift 4
  for set in "$@"; do folders+=("$data/$set"); done
  for name in "${names[@]}"; do
    mapfile -t outputs < <(listed --output "$export/scores/$name/files")
    queue "$export/scores/$name/.done" "scores of the exported $title: $name" "${outputs[@]}" \
      --input conf/backend.yaml --input conf/evaluation.yaml --input "$export/embeddings/.done.$reads" \
      --input "$data/.done" -- \
      python3 pyscripts/score_sets.py --config conf/backend.yaml "${backend_overrides[@]}" --scorings plda \
      --evaluation conf/evaluation.yaml "${evaluation_overrides[@]}" --backend "$folded/backend/embedding" --embeddings "$export/embeddings/$name" \
      --level embedding "$export/scores/$name" "${folders[@]}"
  done
}
# each_measured COMMAND: for every exported student and what its networks read.
each_measured() {
  local line folder title sets set audio
  for line in "${exported[@]}"; do
    IFS=$'\t' read -r folder title <<<"$line"
    mapfile -t sets < <(measured_sets "$folder")
    if [ "${#sets[@]}" -eq 0 ]; then continue; fi
    "$1" "$folder" "$title" features student.features "${sets[@]}"
    audio=true
    for set in "${sets[@]}"; do
      if [ ! -f "$data/$set/wav.scp" ] && ! "$dry_run"; then audio=false; fi
    done
    # The HMM VAD is not in exported networks, so that these do not read waveforms.
    if "$audio" && [ "$vad_kind" = energy ]; then "$1" "$folder" "$title" waveforms student "${sets[@]}"; fi
  done
}
each_measured queue_measuring
# shellcheck disable=SC2086
run_queue "$exp/log" measure_export $score_cmd
each_measured queue_scoring
# shellcheck disable=SC2086
run_queue "$exp/log" score_export $score_cmd

for line in "${exported[@]}"; do
  IFS=$'\t' read -r folder title <<<"$line"
  options=()
  mapfile -t inputs < <(inputs_there "$folder"/export/scores/*/.done)
  for set in $(train_sets); do options+=(--data-dir "$data/$set"); done
  if measured_sets "$folder" | grep -x dev >/dev/null; then
    options+=(--dev-dir "$data/dev")
    inputs+=(--output "$folder/export/calibration.json")
  fi
  queue "$folder/export/.done.card" "model card: $title" "${inputs[@]}" --input "$folder/export/.done" \
    --input conf/evaluation.yaml --input conf/backend.yaml --input "$corpus_config" \
    --output "$folder/export/README.md" -- \
    python3 pyscripts/write_card.py --evaluation conf/evaluation.yaml "${evaluation_overrides[@]}" \
    --config conf/backend.yaml "${backend_overrides[@]}" --corpus "$corpus_config" \
    "${options[@]}" "$folder/folded_lda" "$folder/export"
done
# shellcheck disable=SC2086
run_queue "$exp/log" model_card $score_cmd
if [ "${#exported[@]}" -gt 0 ]; then
  queue_results
  # shellcheck disable=SC2086
  run_queue "$exp/log" results $score_cmd
fi
if "$dry_run"; then exit; fi
for line in "${exported[@]}"; do
  IFS=$'\t' read -r folder title <<<"$line"
  log "exported, $title: $folder/export (README.md there tells what it is worth)"
done
