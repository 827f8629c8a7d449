#!/usr/bin/env bash
# Stage 2: augmentation: a noise corpus; copies of train in noise and rooms, and at other speeds; noisy twins of the
# sets to test on. No audio of copies is written: stage 3 computes their features from what Lhotse's cuts say.
# usage: local/stage_02_augmentation.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

# can_augment SET OPTION: whether there is audio that Lhotse can describe; if not, it is an error to have asked for it.
can_augment() {
  local why=""
  if [ -f "$data/$1/given/feats.scp" ]; then
    why="its features are given, and those of copies would be of another kind"
  elif [ ! -f "$data/$1/manifests/cuts.jsonl.gz" ] && ! { "$dry_run" && [ ! -d "$data/$1" ]; }; then
    why="it has no audio that Lhotse can describe"
  fi
  if [ -z "$why" ]; then return 0; fi
  [[ -z "$2" || " $given_options " != *" $2 "* ]] || die "--${2//_/-}: $data/$1 cannot be augmented: $why; leave the option out"
  log "$1: not augmented: $why"
  return 1
}

# drop SET: an earlier run may have made it when there was audio.
drop() { if [ -f "$data/$1/.augmented" ]; then run rm -r "$data/${1:?}"; fi; }

wanted=()
for set in "${derived_sets[@]}"; do
  case "$set" in
    *_noisy) option=noisy_sets ;;
    train_sp) option=speed_factors ;;
    train_*) option=augmentation ;;
    *) option="" ;;  # what has no labels has copies if it can
  esac
  if can_augment "$(source_of "$set")" "$option"; then wanted+=("$set"); else drop "$set"; fi
done
if "$online" && can_augment train augmentation; then wanted+=(online); fi
if [ "${#wanted[@]}" -eq 0 ]; then
  log "augmentation: nothing to do"
  exit
fi

# queue_noise FOLDER SPEECH [OPTION...]: the noise corpus; SPEECH is the set that babble is mixed from.
queue_noise() {
  local folder="$data/$1" speech="$data/$2" name outputs=() inputs=()
  shift 2
  for name in noise music speech rirs; do outputs+=(--output "$folder/$name.jsonl.gz"); done
  if [ -n "$musan" ]; then
    inputs+=(--input "$musan")
    set -- --musan "$musan" "$@"
  elif [ -f "$speech/manifests/cuts.jsonl.gz" ] || "$dry_run"; then
    inputs+=(--input "$data/.done")
    set -- --speech "$speech" "$@"
  fi
  if [ -n "$rirs" ]; then
    inputs+=(--input "$rirs")
    set -- --rirs "$rirs" "$@"
  fi
  queue "$folder/.done" "noise corpus $folder" --input conf/noise.yaml "${inputs[@]}" "${outputs[@]}" -- \
    python3 pyscripts/prepare_noise.py --config conf/noise.yaml "${noise_overrides[@]}" "$@" "$folder"
}
if [[ " ${wanted[*]} " == *"_$augmentation "* || " ${wanted[*]} " == *" online "* ]]; then queue_noise noise train; fi
if [[ " ${wanted[*]} " == *"_noisy "* ]]; then queue_noise noise_held_out dev --held-out; fi
# shellcheck disable=SC2086
run_queue "$data/log" prepare_noise $data_cmd

# queue_copies SET [--input FILE]... -- [OPTION...]
queue_copies() {
  local folder="$data/$1" source title inputs=()
  source="$(source_of "$1")"
  inputs=(--input "$(prepared "$source")")
  title="copies: $1, of $source" source="$data/$source"
  shift
  while [ "$1" != -- ]; do inputs+=("$1"); shift; done
  shift
  queue "$folder/.done.augmented" "$title" "${inputs[@]}" \
    --output "$folder/.augmented" --output "$folder/utt2spk" --output "$folder/manifests/cuts.jsonl.gz" -- \
    python3 pyscripts/augment_data.py "$@" "$source" "$folder"
}
for set in "${wanted[@]}"; do
  case "$set" in
    online) ;;
    *_noisy)
      mapfile -t inputs < <(config_inputs conf/augmentation/eval_noisy.yaml)
      queue_copies "$set" "${inputs[@]}" --input "$data/noise_held_out/.done" -- \
        --config conf/augmentation/eval_noisy.yaml --noise "$data/noise_held_out" --same-ids
      ;;
    train_sp) queue_copies train_sp -- --speed-factors "$speed_factors" ;;
    *)
      mapfile -t inputs < <(config_inputs "$augmentation_config")
      queue_copies "$set" "${inputs[@]}" --input "$data/noise/.done" -- \
        --config "$augmentation_config" --noise "$data/noise"
      ;;
  esac
done
# shellcheck disable=SC2086
run_queue "$data/log" augment_data $data_cmd
