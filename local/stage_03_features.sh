#!/usr/bin/env bash
# Stage 3: features and voice activity of every set, as Kaldi archives; those that came with the corpus are reused.
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

# leave_out SET: lists the utterances without features or a voiced frame, which all that follows leaves out, in
# <set>/bad_utts; there may be --max-bad-utts of them in all sets.
bad_utts=0
leave_out() {
  local folder="$data/$1" list number file logs=()
  list="$folder/bad_utts${vad_name#vad}"
  comm -23 <(cut -d' ' -f1 "$folder/utt2spk") <(cut -d' ' -f1 "$folder/$vad_name.scp") >"$list.tmp"
  mv "$list.tmp" "$list"
  number="$(wc -l <"$list")"
  if [ "$number" -eq 0 ]; then rm "$list"; return 0; fi
  for file in "$data/log/compute_"{feats,"$vad_name"}".$1."*.log; do if [ -f "$file" ]; then logs+=("$file"); fi; done
  if [ "${#logs[@]}" -gt 0 ]; then show_warnings "${logs[@]}"; fi
  bad_utts=$((bad_utts + number))
  ((bad_utts <= max_bad_utts)) || die "$folder: $number utterances have no features or no voiced frame ($(head -n 3 "$list" \
    | paste -sd' ')$([ "$number" -le 3 ] || echo " ...")): mend or remove their recordings, or leave them out with --max-bad-utts $bad_utts"
  log "$1: $number utterances are left out, listed in $list"
}

sets="$(data_sets)"
given=()
for set in $sets; do if [ -f "$data/$set/given/feats.scp" ]; then given+=("$set"); fi; done
if [ "${#given[@]}" -gt 0 ]; then
  networks=(--student "conf/students/$student.yaml" "${student_overrides[@]/#--set/--student-set}")
  if [ -n "$apply" ]; then
    networks=(--model "$apply")
  elif [ -n "$teacher_nnet3" ]; then
    networks+=(--teacher-input "$teacher_input")
  elif [ -z "$teacher_embeddings" ]; then
    networks+=(--teacher "conf/teachers/$teacher.yaml" "${teacher_overrides[@]/#--set/--teacher-set}")
  fi
  mapfile -t inputs < <(for file in "${networks[@]}"; do if [ -f "$file" ]; then config_inputs "$file"; fi; done)
  for set in "${given[@]}"; do inputs+=(--input "$data/$set/given/feats.scp" --input "$data/.done"); done
  step "$exp/.done.features" "check of the features that were given" "${inputs[@]}" -- \
    run python3 pyscripts/check_features.py "${networks[@]}" "${given[@]/#/$data/}"
fi

for set in $sets; do
  if [ -f "$data/$set/given/feats.scp" ]; then
    reuse feats feats "$set" "features of $set" "$data/$set/.done.feats" "$data/.done"
  else
    inputs=(--input "$data/$set/wav.scp") options=()
    if [ -f "$data/$set/segments" ]; then
      inputs+=(--input "$data/$set/segments")
      options=(--segments "$data/$set/segments")
    fi
    step "$data/$set/.done.feats" "features of $set" --scp "$data/$set/feats.scp" \
      "${inputs[@]}" --input "$data/.done" --input "$features_config" -- \
      compute feats feats "$set" "$features_config" "scp,p:$data/$set/wav.scp" "${options[@]}"
  fi
  # What was given takes the place of the default.
  if [ -f "$data/$set/given/vad.scp" ] && [ "$vad" = energy ]; then
    reuse vad "$vad_name" "$set" "voice activity of $set" "$data/$set/$set_done" "$data/$set/.done.feats"
  else
    step "$data/$set/$set_done" "voice activity of $set" --scp "$data/$set/$vad_name.scp" \
      --input "$data/$set/.done.feats" --input "$vad_config" -- \
      compute vad "$vad_name" "$set" "$vad_config" "scp:$data/$set/feats.scp" --omit-unvoiced-utts=true
  fi
  if ! "$dry_run"; then leave_out "$set"; fi
  if "$vad_posteriors"; then
    step "$data/$set/.done.${vad_name}_posteriors" "probabilities of speech of $set" \
      --input "$data/$set/.done.feats" --input "$vad_config" -- \
      compute vad "${vad_name}_posteriors" "$set" "$vad_config" "scp:$data/$set/feats.scp" --vad-posteriors
  fi
done
