#!/usr/bin/env bash
# Stage 8: trains back ends, LDA and PLDA, for every level of the teacher and for every student.
# usage: local/stage_08_backends.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

while IFS=$'\t' read -r folder level title; do
  backend="$folder/backend/$level"
  queue "$backend/.done" "back end: $title" \
    --output "$backend/mean.vec" --output "$backend/transform.mat" --output "$backend/plda" \
    --input conf/backend.yaml --input "$folder/embeddings/train/.done" --input "$data/train/utt2spk" -- \
    python3 pyscripts/train_backend.py --config conf/backend.yaml \
    "scp:$folder/embeddings/train/$level.scp" "$data/train/utt2spk" "$backend"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" train_backends $score_cmd
