#!/usr/bin/env bash
# Applies a finished model to new data: features and VAD with the options that the model recorded, embeddings, and
# scores, with the model's back end, where there are trials.
# usage: ./run.sh --apply MODEL --eval-dir DIR [--trials FILE [--enrol FILE]] [--level LEVEL] [--apply-to DIR]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"
[ -n "$apply" ] || die "--apply MODEL is missing: a finished model's folder (see --help)"

run local/make_environment.sh
# shellcheck source=path.sh
. ./path.sh

level="$(python3 pyscripts/model_settings.py --conf conf "${evaluation_overrides[@]}" --level "$level" "$apply")" || exit 1
backend="$apply/backend/$level"
missing=""
if [ ! -f "$backend/plda" ]; then
  missing="$apply has no back end of the level '$level' ($backend/plda is missing)"
  [ -z "$trials" ] \
    || die "--trials: $missing: train one (./run.sh --stage 8), or name a level that has one with --level"
fi

if ! "$dry_run" && [ ! -s "$exp/source" ]; then realpath -m "$eval_dir" >"$exp/source"; fi
settings=(--input "$apply/config.yaml")
for file in conf/features/*.yaml; do settings+=(--input "$file"); done
step "$exp/.done.settings" "features and VAD as $apply has recorded them" "${settings[@]}" \
  --output "$features_config" --output "$vad_config" -- \
  run python3 pyscripts/model_settings.py --conf conf --level "$level" "$apply" "$exp/conf"

for script in local/stage_01_corpus.sh local/stage_03_features.sh; do
  (cd "$called_from" && "$OLDPWD/$script" "$@")
done

queue "$exp/embeddings/eval/.done.$level" "embeddings, level $level" \
  --input "$apply/$apply_file" --input "$apply/config.yaml" --input "$data/eval/$set_done" \
  --input conf/extraction.yaml --scp "$exp/embeddings/eval/$level.scp" -- \
  python3 pyscripts/extract_embeddings.py --config conf/extraction.yaml --model "$apply" --levels "$level" \
  "$data/eval" "$exp/embeddings/eval"
# shellcheck disable=SC2086
run_queue "$exp/log" extract $extract_cmd
log "embeddings: $exp/embeddings/eval/$level.scp"

lists=()
for list in "$data"/eval/trials*; do
  if [ -f "$list" ]; then lists+=("$list"); fi
done
if [ "${#lists[@]}" -eq 0 ] && "$dry_run"; then lists=("$data/eval/trials"); fi
if [ "${#lists[@]}" -eq 0 ]; then
  log "no scores: there are no trials, and none can be made from the speakers of $eval_dir"
  exit
fi
if [ -n "$missing" ]; then
  log "no scores: $missing"
  exit
fi
mapfile -t scoring_values < <(flags_of "$backend_set" normalize_length simple_length_normalization smoothing)
mapfile -t costs < <(flags_of "$evaluation_set" p_targets c_miss c_fa)
# score_list LIST SCORING
score_list() {
  local name="eval${1##*/trials}" enrolments=() inputs=(--input "$1")
  local enrol_map="${1%/*}/enrol${1##*/trials}" file
  if [ -f "$enrol_map" ]; then enrolments=(--enrolments "$enrol_map") inputs+=(--input "$enrol_map"); fi
  for file in "$backend"/{mean.vec,transform.mat,plda}; do inputs+=(--input "$file"); done
  queue "$exp/scores/$level/.done.$name.$2" "scores: $name, $2" "${inputs[@]}" --input conf/backend.yaml \
    --input "$exp/embeddings/eval/.done.$level" --output "$exp/scores/$level/$name.$2.txt" -- \
    python3 pyscripts/score_trials.py --config conf/backend.yaml "${scoring_values[@]}" --scoring "$2" --backend "$backend" "${enrolments[@]}" \
    "$1" "scp:$exp/embeddings/eval/$level.scp" "scp:$exp/embeddings/eval/$level.scp" "$exp/scores/$level/$name.$2.txt"
}
for list in "${lists[@]}"; do
  for scoring in cosine lda_cosine plda; do score_list "$list" "$scoring"; done
done
# shellcheck disable=SC2086
run_queue "$exp/log" score $score_cmd

if "$dry_run"; then exit; fi
log "scores: $exp/scores/$level/"
for list in "${lists[@]}"; do
  name="eval${list##*/trials}"
  count="$(grep -c . "$list")"
  if [ "$(awk '{ print NF; exit }' "$list")" -lt 3 ]; then
    printf '%s (%s trials without labels)\n' "$name" "$count"
    continue
  fi
  printf '%s (%s trials)\n' "$name" "$count"
  for scoring in cosine lda_cosine plda; do
    python3 pyscripts/evaluate_scores.py --config conf/evaluation.yaml "${costs[@]}" "$list" "$exp/scores/$level/$name.$scoring.txt" \
      | awk -v scoring="$scoring" '{ sub(/ at threshold.*/, ""); line = line (NR > 1 ? ", " : "") $0 }
        END { printf "  %-11s %s\n", scoring, line }'
  done
done
