#!/usr/bin/env bash
# Stage 3: features and voice activity of every set, as Kaldi archives; those that came with the corpus are reused.
# There are the features that the VAD reads, feats.scp if they are MFCC, and those that the networks of this run read beside them.
# usage: local/stage_03_features.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

# What changes no result is no part of a step, so that nothing is done again for it.
how=()
if "$allow_pipes"; then how+=(--allow-pipes); fi

# compute feats|vad NAME SET CONFIG SPECIFIER [OPTION...]: an array of jobs makes <set>/<name>.scp, which is the
# command's last argument, or the value of the last option.
compute() {
  local command="$1" name="$2" set="$3" config="$4" input="$5" parts=() options=("${how[@]}")
  shift 5
  if [ "$command" = vad ]; then options+=(--vad-backend "$vad_backend"); fi
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$nj" "$data/log/compute_$name.$set.JOB.log" \
    python3 "pyscripts/compute_$command.py" --config "$config" --part "JOB/$nj" "${options[@]}" "$input" "$@" \
    "ark,scp:$data/$set/archives/$name.JOB.ark,$data/$set/archives/$name.JOB.scp"
  for ((job = 1; job <= nj; job++)); do parts+=("$data/$set/archives/$name.$job.scp"); done
  run merge_scripts "$data/$set/$name.scp" "${parts[@]}"
}

# reuse feats|vad NAME SET TITLE DONE INPUT: what was given becomes <set>/<name>.scp.
reuse() {
  local given="$data/$3/given/$1.scp" script="$data/$3/$2.scp"
  step "$5" "$4: as given, not computed" --input "$given" --input "$6" --scp "$given" --output "$script" -- \
    run merge_scripts "$script" "$given"
}

# features KIND SET: computed from the recordings, or as Lhotse's cuts say, unless they were given.
features() {
  local name config title input mark="$data/$2/.done" options=() inputs=()
  name="$(features_name "$1")"
  title="features of $2$([ "$1" = mfcc ] || echo ", $1")"
  if [ -f "$data/$2/given/feats.scp" ]; then
    reuse feats "$name" "$2" "$title" "$mark.$name" "$(prepared "$2")"
    return
  fi
  config="conf/features/$1.yaml"
  if [ -n "$apply" ] && [ "$1" = "$(features_of student)" ]; then config="$features_config"; fi
  if [ -f "$data/$2/.augmented" ] || [[ " ${derived_sets[*]} " == *" $2 "* ]]; then
    input="cuts,p:$data/$2/manifests/cuts.jsonl.gz"
    inputs=(--input "$mark.augmented")
  else
    input="scp,p:$data/$2/wav.scp"
    inputs=(--input "$data/$2/wav.scp" --input "$(prepared "$2")")
    if [ -f "$data/$2/segments" ]; then
      inputs+=(--input "$data/$2/segments")
      options=(--segments "$data/$2/segments")
    fi
  fi
  step "$mark.$name" "$title" --scp "$data/$2/$name.scp" "${inputs[@]}" --input "$config" -- \
    compute feats "$name" "$2" "$config" "$input" "${options[@]}"
}

# copy_vad SET: the marks of the originals' frames are those of their copies.
copy_vad() {
  local vad script="$data/$1/$vad_name.scp"
  vad="$data/$(source_of "$1")/$vad_name.scp"
  awk 'NR == FNR { place[$1] = substr($0, index($0, " ")); next } $2 in place { print $1 place[$2] }' \
    "$vad" "$data/$1/utt2uniq" | sort >"$script.tmp"
  mv "$script.tmp" "$script"
}

# compute_noisy vad NAME SET ...: utterances whose originals have no voice are left out, though their noise may have.
compute_noisy() {
  compute "$@"
  run keep_voiced "$3" "$data/$3/$2.scp" "$data/${3%_noisy}/$2.scp"
}
keep_voiced() {
  awk 'FILENAME == ARGV[1] { voiced[$1]; next } FILENAME == ARGV[2] { original[$1] = $2; next } original[$1] in voiced' \
    "$3" "$data/$1/utt2uniq" "$2" >"$2.tmp"
  mv "$2.tmp" "$2"
}

# leave_out SET: lists the utterances without features or a voiced frame, which all that follows leaves out, in
# <set>/bad_utts; there may be --max-bad-utts of them in all sets, not counting copies of those that are left out.
bad_utts=0
leave_out() {
  local folder="$data/$1" list number file logs=() originals uniq
  list="$folder/bad_utts${vad_name#vad}"
  comm -23 <(cut -d' ' -f1 "$folder/utt2spk") <(cut -d' ' -f1 "$folder/$vad_name.scp") >"$list.tmp"
  mv "$list.tmp" "$list"
  if [ ! -s "$list" ]; then rm "$list"; return 0; fi
  number="$(wc -l <"$list")"
  if [ -f "$folder/.augmented" ]; then
    originals="$data/$(<"$folder/.augmented")/${list##*/}" uniq="$folder/utt2uniq"
    for file in "$originals" "$uniq"; do if [ -f "$file" ]; then cat "$file"; fi; done >"$list.tmp"
    # Lines of one word are originals that are left out, of two words what a copy is of; at other speeds its name says it.
    number="$(awk 'FILENAME == ARGV[1] && NF == 1 { bad[$1]; next } FILENAME == ARGV[1] { original[$1] = $2; next }
      { name = $1; if (name in original) name = original[name]; else sub(/^sp[0-9.]+-/, "", name) }
      !(name in bad) { count++ } END { print count + 0 }' "$list.tmp" "$list")"
    rm "$list.tmp"
    if [ "$number" -eq 0 ]; then return 0; fi
  fi
  for file in "$data/log/compute_"{"$vad_feats","$vad_name"}".$1."*.log; do if [ -f "$file" ]; then logs+=("$file"); fi; done
  if [ "${#logs[@]}" -gt 0 ]; then show_warnings "${logs[@]}"; fi
  bad_utts=$((bad_utts + number))
  ((bad_utts <= max_bad_utts)) || die "$folder: $number utterances have no features or no voiced frame ($(head -n 3 "$list" \
    | paste -sd' ')$([ "$number" -le 3 ] || echo " ...")): mend or remove their recordings, or leave them out with --max-bad-utts $bad_utts"
  log "$1: $number utterances are left out, listed in $list"
}

sets="$(data_sets)"
kinds="$(feature_kinds)"
given=()
for set in $sets; do if [ -f "$data/$set/given/feats.scp" ]; then given+=("$set"); fi; done
if [ "${#given[@]}" -gt 0 ]; then
  networks=(--student "conf/students/$student.yaml" "${student_overrides[@]/#--set/--student-set}")
  if [ -n "$apply" ]; then
    networks=(--model "$apply")
  elif [ -n "$teacher_nnet3$teacher_onnx" ]; then
    networks+=(--teacher-input "$teacher_input")
  elif [ -z "$teacher_embeddings" ]; then
    networks+=(--teacher "conf/teachers/$teacher.yaml" "${teacher_overrides[@]/#--set/--teacher-set}")
  fi
  mapfile -t inputs < <(for file in "${networks[@]}"; do if [ -f "$file" ]; then config_inputs "$file"; fi; done)
  for set in "${given[@]}"; do inputs+=(--input "$data/$set/given/feats.scp" --input "$(prepared "$set")"); done
  step "$exp/.done.features" "check of the features that were given" "${inputs[@]}" -- \
    run python3 pyscripts/check_features.py "${networks[@]}" "${given[@]/#/$data/}"
fi

for set in $sets; do
  for kind in $kinds; do features "$kind" "$set"; done
  # What was given takes the place of the default.
  if [ -f "$data/$set/given/vad.scp" ] && [ "$vad_kind" = energy ]; then
    reuse vad "$vad_name" "$set" "voice activity of $set" "$data/$set/$set_done" "$data/$set/.done.$vad_feats"
  elif [[ "$set" = *"_$augmentation" && " ${derived_sets[*]} " == *" $set "* ]]; then
    step "$data/$set/$set_done" "voice activity of $set: that of the originals" --scp "$data/$set/$vad_name.scp" \
      --input "$data/$set/.done.$vad_feats" --input "$data/$(source_of "$set")/$set_done" -- run copy_vad "$set"
  else
    # Speech that drowns in the noise that was added is no fault of the data: a system in use would have to score it.
    unvoiced=--omit-unvoiced-utts=true marks=compute inputs=()
    if [ -f "$data/$set/.augmented" ] && [[ "$set" = *_noisy ]]; then
      unvoiced=--whole-unvoiced-utts marks=compute_noisy inputs=(--input "$data/${set%_noisy}/$set_done")
    fi
    step "$data/$set/$set_done" "voice activity of $set" --scp "$data/$set/$vad_name.scp" \
      --input "$data/$set/.done.$vad_feats" "${inputs[@]}" --input "$vad_config" -- \
      "$marks" vad "$vad_name" "$set" "$vad_config" "scp:$data/$set/$vad_feats.scp" "$unvoiced"
  fi
  if ! "$dry_run"; then leave_out "$set"; fi
  if "$vad_posteriors"; then
    step "$data/$set/.done.${vad_name}_posteriors" "probabilities of speech of $set" \
      --input "$data/$set/.done.$vad_feats" --input "$vad_config" -- \
      compute vad "${vad_name}_posteriors" "$set" "$vad_config" "scp:$data/$set/$vad_feats.scp" --vad-posteriors
  fi
done

# make_shards SET NAME [OPTION...]: an array of jobs makes <set>/shards/<name>.
make_shards() {
  local set="$1" name="$2" folder="$data/$1/shards/$2" file parts
  shift 2
  run rm -rf "$folder"
  # shellcheck disable=SC2086
  $data_cmd JOB=1:"$nj" "$data/log/make_shards_$name.$set.JOB.log" \
    python3 pyscripts/make_shards.py --config conf/shards.yaml "$@" --part "JOB/$nj" "$data/$set" "$folder"
  for file in inputs.scp index; do
    parts=()
    for ((job = 1; job <= nj; job++)); do
      if [ "$file" = index ]; then parts+=("$folder/index.$job"); else parts+=("$folder/inputs.$job.scp"); fi
    done
    run merge_scripts "$folder/$file" "${parts[@]}"
  done
}
# shards teacher|student SET...: of the sets that the network is trained on.
shards() {
  local network="$1" name config changes options=() inputs set
  name="$(shards_name "$network")"
  config="conf/inputs/$(setting_of "$network" input).yaml"
  mapfile -t changes < <(input_changes "$network")
  for set in "${changes[@]}"; do options+=(--set "$set"); done
  shift
  for set in "$@"; do
    mapfile -t inputs < <(set_inputs "$network" "$set"; config_inputs "$config")
    step "$data/$set/.done.shards_$name" "shards of $set, $name" "${inputs[@]}" --input conf/shards.yaml \
      --scp "$data/$set/shards/$name/inputs.scp" --output "$data/$set/shards/$name/index" -- \
      make_shards "$set" "$name" --input "$config" "${options[@]}"
  done
}
if [ "$reading" = shards ]; then
  sets="$(train_sets)"
  others="$(distilled_sets)"
  # shellcheck disable=SC2086
  shards student $sets $others
  if [ -z "$teacher_embeddings$teacher_nnet3$teacher_onnx" ] && [ "$(shards_name teacher)" != "$(shards_name student)" ]; then
    # shellcheck disable=SC2086
    shards teacher $sets
  fi
fi
