#!/usr/bin/env bash
# Stage 3: features and voice activity of every set, as Kaldi archives.
# usage: local/stage_03_features.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

# compute NAME SET CONFIG SPECIFIER: an array of jobs makes <set>/<name>.scp.
compute() {
  local name="$1" set="$2" config="$3" input="$4" parts=()
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$nj" "$data/log/compute_$name.$set.JOB.log" \
    python3 "pyscripts/compute_$name.py" --config "$config" --part "JOB/$nj" "$input" \
    "ark,scp:$data/$set/archives/$name.JOB.ark,$data/$set/archives/$name.JOB.scp"
  for ((job = 1; job <= nj; job++)); do parts+=("$data/$set/archives/$name.$job.scp"); done
  run merge_scripts "$data/$set/$name.scp" "${parts[@]}"
}

sets="$(data_sets)"
for set in $sets; do
  step "$data/$set/.done.feats" "features of $set" \
    --input "$data/$set/wav.scp" --input "$data/.done" --input conf/features/mfcc.yaml -- \
    compute feats "$set" conf/features/mfcc.yaml "scp:$data/$set/wav.scp"
  step "$data/$set/.done" "voice activity of $set" \
    --input "$data/$set/.done.feats" --input conf/features/vad.yaml -- \
    compute vad "$set" conf/features/vad.yaml "scp:$data/$set/feats.scp"
done
