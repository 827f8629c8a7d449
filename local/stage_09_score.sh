#!/usr/bin/env bash
# Stage 9: scores every trial list with every level of the teacher and with every student.
# usage: local/stage_09_score.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

while IFS=$'\t' read -r folder level title; do
  # The cohort of AS-norm is train.
  sets="$(scored_sets "$folder" "$level")" inputs=() folders=()
  for set in $sets; do folders+=("$data/$set"); done
  for set in train $sets; do
    inputs+=(--input "$folder/embeddings/$set/.done")
    for table in utt2spk spk2gender utt2dur utt2snr utt2session; do
      if [ -f "$data/$set/$table" ]; then inputs+=(--input "$data/$set/$table"); fi
    done
  done
  if [ "${#folders[@]}" -eq 0 ]; then
    log "no scores: $title: no set with trials and embeddings"
    continue
  fi
  scores="$folder/scores/$level"
  mapfile -t outputs < <(listed --output "$scores/files")
  queue "$scores/.done" "scores: $title" "${outputs[@]}" \
    --input conf/backend.yaml --input conf/evaluation.yaml --input "$folder/backend/$level/.done" \
    --input "$data/.done" "${inputs[@]}" -- \
    python3 pyscripts/score_sets.py --config conf/backend.yaml --evaluation conf/evaluation.yaml \
    --backend "$folder/backend/$level" --embeddings "$folder/embeddings" --level "$level" \
    --cohort "$data/train" "$scores" "${folders[@]}"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" score $score_cmd
