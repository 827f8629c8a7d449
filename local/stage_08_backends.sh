#!/usr/bin/env bash
# Stage 8: trains back ends, LDA and PLDA, for every level of the teacher and for every student.
# usage: local/stage_08_backends.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

sets="$(backend_sets)"
mapfile -t values < <(flags_of "$backend_set" lda_dim pca_dim total_covariance_factor num_em_iters)
while IFS=$'\t' read -r folder level title; do
  backend="$folder/backend/$level" inputs=() further=()
  for set in $sets; do
    if [ "$set" != train ] && ! has_level "$folder" "$set" "$level"; then continue; fi
    inputs+=(--input "$folder/embeddings/$set/.done" --input "$data/$set/utt2spk")
    if [ "$set" != train ]; then further+=(--further "scp:$folder/embeddings/$set/$level.scp" "$data/$set/utt2spk"); fi
  done
  queue "$backend/.done" "back end: $title" \
    --output "$backend/mean.vec" --output "$backend/transform.mat" --output "$backend/plda" \
    --input conf/backend.yaml "${inputs[@]}" -- \
    python3 pyscripts/train_backend.py --config conf/backend.yaml "${values[@]}" "${further[@]}" \
    "scp:$folder/embeddings/train/$level.scp" "$data/train/utt2spk" "$backend"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" train_backends $score_cmd
