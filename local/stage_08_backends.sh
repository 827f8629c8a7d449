#!/usr/bin/env bash
# Stage 8: trains back ends, LDA and PLDA, for every level of the teacher and for every student.
# usage: local/stage_08_backends.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

while IFS=$'\t' read -r folder level title; do
  queue "$folder/backend/$level/.done" "back end: $title" \
    --input conf/backend.yaml --input "$folder/embeddings/train/.done" --input "$data/train/utt2spk" -- \
    python3 pyscripts/train_backend.py --config conf/backend.yaml \
    "scp:$folder/embeddings/train/$level.scp" "$data/train/utt2spk" "$folder/backend/$level"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" train_backends $score_cmd
