#!/usr/bin/env bash
# Stage 1: the corpus: audio (if it is generated), Lhotse manifests, Kaldi data directories, trials.
# usage: local/stage_01_corpus.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

config="$corpus_config"
mapfile -t inputs < <(config_inputs "$config")

# What is there already and follows from the same configuration is kept, so that an interrupted run goes on.
generate() {
  if "$force"; then run rm -rf "$data/audio"; fi
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$nj" "$data/log/generate_audio.JOB.log" \
    python3 pyscripts/generate_audio.py --part "JOB/$nj" "$@"
}
if [ -z "$given_corpus" ]; then
  step "$data/.done.audio" "audio of the corpus '$corpus'" "${inputs[@]}" -- \
    generate --config "$config" "${corpus_overrides[@]}" "$data"
  inputs+=(--input "$data/.done.audio")
fi

# Of a data directory its tables count, not what else may lie there.
if [ -n "$audio" ]; then inputs+=(--input "$audio"); fi
for path in "$cuts" "$train_dir" "$dev_dir" "$eval_dir" "$trials" "$enrol"; do
  files=("$path")
  if [ -d "$path" ]; then files=("$path"/{*.scp,segments,utt2*,spk2*,trials*,enrol*,*.jsonl*}); fi
  for file in "${files[@]}"; do
    if [ -f "$file" ]; then inputs+=(--input "$file"); fi
  done
done
outputs=()
for list in "$data"/*/.prepared; do
  if [ -f "$list" ]; then mapfile -t -O "${#outputs[@]}" outputs < <(listed --output "$list"); fi
done
queue "$data/.done" "manifests, data directories and trials" "${inputs[@]}" "${outputs[@]}" -- \
  python3 pyscripts/prepare_corpus.py --config "$config" "${corpus_overrides[@]}" "$data"
# shellcheck disable=SC2086
run_queue "$data/log" prepare_corpus $data_cmd
