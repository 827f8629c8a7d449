#!/usr/bin/env bash
# Stage 1: the corpus: audio (if it is generated), Lhotse manifests, Kaldi data directories, trials.
# usage: local/stage_01_corpus.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

config="$corpus_config"
mapfile -t inputs < <(config_inputs "$config")

# What is there already and follows from the same configuration is kept, so that an interrupted run goes on. A download
# is one job.
generate() {
  local jobs="$nj"
  if "$force"; then run rm -rf "$data/audio"; fi
  if "$download"; then jobs=1; fi
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$jobs" "$data/log/generate_audio.JOB.log" \
    python3 pyscripts/generate_audio.py --part "JOB/$jobs" "$@"
}
if [ -z "$given_corpus" ] && { "$download" || [ -z "$corpus_root" ]; }; then
  outputs=()
  if "$download"; then outputs=(--output "$corpus_root"); fi
  step "$data/.done.audio" "audio of the corpus '$corpus'" "${inputs[@]}" "${outputs[@]}" -- \
    generate --config "$config" "${corpus_overrides[@]}" "$data"
fi
if [ -f "$data/.done.audio" ]; then inputs+=(--input "$data/.done.audio"); fi
if [ -n "$corpus_root" ] && [ ! -d "$corpus_root" ] && ! "$dry_run"; then
  die "--corpus-root '$corpus_root': no such folder: name the one where $corpus is, or fetch it there with --download"
fi

# table_inputs PATH: --input for a file; of a data directory its tables count, not what else may lie there.
table_inputs() {
  local files=("$1")
  if [ -d "$1" ]; then files=("$1"/{*.scp,segments,utt2*,spk2*,trials*,enrol*,*.jsonl*}); fi
  inputs_there "${files[@]}"
}
for path in "$audio" "$voxceleb1_root" "$voxceleb2_root" "$trials_root" "$corpus_root"; do
  if [ -n "$path" ]; then inputs+=(--input "$path"); fi
done
for path in "$cuts" "$train_dir" "$dev_dir" "$eval_dir" "$trials" "$enrol"; do
  mapfile -t -O "${#inputs[@]}" inputs < <(table_inputs "$path")
done
outputs=()
for list in "$data"/*/.prepared; do
  if [ -f "$list" ]; then mapfile -t -O "${#outputs[@]}" outputs < <(listed --output "$list"); fi
done
queue "$data/.done" "manifests, data directories and trials" "${inputs[@]}" "${outputs[@]}" -- \
  python3 pyscripts/prepare_corpus.py --config "$config" "${corpus_overrides[@]}" "$data"
# shellcheck disable=SC2086
run_queue "$data/log" prepare_corpus $data_cmd

for index in "${!unlabelled_sets[@]}"; do
  source="${unlabelled_sources[index]}" folder="$data/${unlabelled_sets[index]}" outputs=()
  mapfile -t inputs < <(table_inputs "$source")
  # Of a folder of recordings, the list of its files.
  if [ "${#inputs[@]}" -eq 0 ]; then inputs=(--input "$source"); fi
  if [ -f "$folder/.prepared" ]; then mapfile -t outputs < <(listed --output "$folder/.prepared"); fi
  queue "$folder/.done.prepared" "data without labels: $source" "${inputs[@]}" "${outputs[@]}" -- \
    python3 pyscripts/prepare_unlabelled.py --max-bad-utts "$max_bad_utts" "$source" "$folder"
done
# shellcheck disable=SC2086
run_queue "$data/log" prepare_unlabelled $data_cmd
