#!/usr/bin/env bash
# Stage 1: the corpus: audio (if it is generated), Lhotse manifests, Kaldi data directories, trials.
# usage: local/stage_01_corpus.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

config="conf/corpora/$corpus.yaml"
mapfile -t config_inputs < <(config_inputs "$config")

# What is there already and follows from the same configuration is kept, so that an interrupted run goes on.
generate() {
  if "$force"; then run rm -rf "$data/audio"; fi
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$nj" "$data/log/generate_audio.JOB.log" \
    python3 pyscripts/generate_audio.py --part "JOB/$nj" "$@"
}
step "$data/.done.audio" "audio of the corpus '$corpus'" "${config_inputs[@]}" -- \
  generate --config "$config" "${corpus_overrides[@]}" "$data"

folder=()
if [ -n "$audio" ]; then folder=(--input "$audio"); fi
queue "$data/.done" "manifests, data directories and trials" \
  "${config_inputs[@]}" --input "$data/.done.audio" "${folder[@]}" -- \
  python3 pyscripts/prepare_corpus.py --config "$config" "${corpus_overrides[@]}" "$data"
# shellcheck disable=SC2086
run_queue "$data/log" prepare_corpus $data_cmd
