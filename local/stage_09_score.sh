#!/usr/bin/env bash
# Stage 9: scores every trial list with every level of the teacher and with every student.
# usage: local/stage_09_score.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

sets="$(data_sets)"
while IFS=$'\t' read -r folder level title; do
  inputs=() folders=()
  for set in $sets; do
    if [ -f "$data/$set/trials" ]; then
      inputs+=(--input "$folder/embeddings/$set/.done")
      folders+=("$data/$set")
    fi
  done
  queue "$folder/scores/$level/.done" "scores: $title" \
    --input conf/backend.yaml --input conf/evaluation.yaml --input "$folder/backend/$level/.done" \
    --input "$data/.done" "${inputs[@]}" -- \
    python3 pyscripts/score_sets.py --config conf/backend.yaml --evaluation conf/evaluation.yaml \
    --backend "$folder/backend/$level" --embeddings "$folder/embeddings" --level "$level" \
    "$folder/scores/$level" "${folders[@]}"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" score $score_cmd
