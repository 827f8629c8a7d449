#!/usr/bin/env bash
# Stage 9: scores every trial list with every level of the teacher and with every student; the list eval also with
# shorter test utterances, and with student and teacher on either side where they share a space.
# usage: local/stage_09_score.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

# regresses FILE: whether a loss, or the one that its terms are added to, compares coordinates: relations or posteriors
# alone leave these open.
regresses() {
  local terms base
  terms="$(sed -n 's/^terms: *\([^#]*\).*/\1/p' "$1")"
  base="$(sed -n 's/^base: *\([A-Za-z0-9_]*\).*/\1/p' "$1")"
  [[ "$terms" =~ mse|cosine ]] && return
  [[ -n "$base" && "$terms" != *"base: null"* ]] && regresses "conf/losses/$base.yaml"
}
scored="$(systems | cut -f 1,2)"
# in_teachers_space LEVEL LOSS: whether a student estimates one level of its teacher that is scored, coordinate by
# coordinate.
in_teachers_space() {
  local file="conf/losses/$2.yaml"
  grep -qxF -- "$teacher_dir"$'\t'"$1" <<<"$scored" \
    && [ "$(yaml_value "$file" projection)" = none ] && [ "$(yaml_value "$file" length_normalise)" = false ] \
    && [ "$(yaml_value "$file" head_dim)" = 0 ] && regresses "$file"
}
declare -A taught=()
while read -r levels loss; do
  level="${levels#"$teacher_name:"}"
  if in_teachers_space "$level" "$loss"; then taught["$(student_dir "$levels" "$loss")"]="$level"; fi
done < <(student_list)

# add_pairings MODEL LEVEL: what score_sets.py is to score the list eval with besides, and what it reads for that.
add_pairings() {
  local own="$1/embeddings/eval" others="$teacher_dir/embeddings/eval" seconds backend="$1/backend/$2"
  if [ "$1" != "$teacher_dir" ] || [ -z "$teacher_embeddings" ]; then
    for seconds in $durations; do
      inputs+=(--input "${own}_${seconds}s/levels")
      pairings+=(--pairing eval "${seconds}s" "$own/$2.scp" "${own}_${seconds}s/$2.scp" "$backend")
    done
  fi
  if [ -n "${taught["$1"]:-}" ] && scored_sets "$teacher_dir" "${taught["$1"]}" | grep -x eval >/dev/null; then
    backend="$teacher_dir/backend/${taught["$1"]}"
    own="$own/$2.scp"
    inputs+=(--input "$others/.done" --input "$backend/.done")
    others="$others/${taught["$1"]}.scp"
    pairings+=(--pairing eval teacher_backend "$own" "$own" "$backend")
    pairings+=(--pairing eval teacher_enrols "$others" "$own" "$backend")
    pairings+=(--pairing eval student_enrols "$own" "$others" "$backend")
  fi
}
if [ -n "$teacher_embeddings" ] && [ -n "$durations" ]; then
  log "the teacher is not scored by test duration: its embeddings are given, and cannot be made of shorter utterances"
fi

while IFS=$'\t' read -r folder level title; do
  # The cohort of AS-norm is train.
  sets="$(scored_sets "$folder" "$level")" inputs=() folders=() pairings=()
  for set in $sets; do folders+=("$data/$set"); done
  for set in train $sets; do
    inputs+=(--input "$folder/embeddings/$set/.done")
    for table in utt2spk spk2gender utt2dur utt2snr utt2session; do
      if [ -f "$data/$set/$table" ]; then inputs+=(--input "$data/$set/$table"); fi
    done
  done
  if [ "${#folders[@]}" -eq 0 ]; then
    log "no scores: $title: no set with trials and embeddings"
    continue
  fi
  if grep -qx eval <<<"$sets" && { [ -f "$data/eval/trials" ] || [ ! -d "$data/eval" ]; }; then
    add_pairings "$folder" "$level"
  fi
  scores="$folder/scores/$level"
  mapfile -t outputs < <(listed --output "$scores/files")
  queue "$scores/.done" "scores: $title" "${outputs[@]}" \
    --input conf/backend.yaml --input conf/evaluation.yaml --input "$folder/backend/$level/.done" \
    --input "$data/.done" "${inputs[@]}" -- \
    python3 pyscripts/score_sets.py --config conf/backend.yaml "${backend_overrides[@]}" \
    --evaluation conf/evaluation.yaml "${evaluation_overrides[@]}" \
    --backend "$folder/backend/$level" --embeddings "$folder/embeddings" --level "$level" \
    --cohort "$data/train" "${pairings[@]}" "$scores" "${folders[@]}"
done < <(systems)
# shellcheck disable=SC2086
run_queue "$exp/log" score $score_cmd
