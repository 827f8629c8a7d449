#!/usr/bin/env bash
# Whether the paper's claims hold: trains teachers and students, cell by cell and seed by seed, and prints the table,
# the figure and the verdicts of docs/claims.md. What is done is not done again: interrupted, the next start goes on.
#
# usage: benchmarks/claims.sh [options] small           half-size x-vectors on the embedded corpus: two hours, two cores
#        benchmarks/claims.sh [options] full            the paper's sizes and every teacher: needs a GPU
#        benchmarks/claims.sh [options] real SPEECH     cross-validation on real speech, see benchmarks/real_speech.py
#
#   --seeds "0 1 2"      of training, of teachers and students
#   --cells "A B"        those to run (small: the teachers, without more_data and redimnet); the table has all of the
#                        setting, and says which are missing
#   --folds "0 1 2 3 4"  of the cross-validation (real)
#   --dry-run            prints which students would be distilled
#
# A cell is a teacher with its students, all with one seed. more_data distils those of the first teacher on further
# speakers too, without labels; redimnet are students of the first teacher with shared weights over frequencies;
# with_synthetic trains on the embedded corpus beside real speech. The method, and the rule by which verdicts are given,
# stand in docs/claims.md.
set -euo pipefail
called_from="$PWD"
cd "$(dirname "$0")/.."
die() { echo "claims.sh: error: $*" >&2; exit 1; }

seeds="0 1 2" cells="" folds="0 1 2 3 4" dry_run=false
while [[ "${1:-}" = --* ]]; do
  case "$1" in
    --help) sed -n '2,/^set/{s/^# \{0,1\}//p}' benchmarks/claims.sh; exit 0 ;;
    --dry-run) dry_run=true; shift; continue ;;
    --seeds) seeds="${2?--seeds: its value is missing}" ;;
    --cells) cells="${2?--cells: its value is missing}" ;;
    --folds) folds="${2?--folds: its value is missing}" ;;
    *) die "$1: unknown option (see --help)" ;;
  esac
  shift 2
done
setting="${1:-}" speech="${2:-}"
# Cells of the setting, and those that take too long to be run unasked; the main teacher; speakers to train on, and the
# further ones of more_data; the students, and those of another width; the students' epochs.
longer=""
case "$setting" in
  small) all="tdnn_half etdnn_half" longer="more_data redimnet" main=tdnn_half speakers=400 further=600
    student=tdnn76 other=tdnn160 epochs=80 ;;
  full) all="tdnn etdnn ftdnn ecapa512 ecapa1024 resnet34 more_data redimnet"
    main=tdnn speakers=1000 further=2000 student=tdnn152 other=tdnn342 epochs=40 ;;
  real) all="tdnn_half etdnn_half with_synthetic redimnet" main=tdnn_half student=tdnn76 other=tdnn160 epochs=80 ;;
  *) die "'$setting': no such setting (there are: small full real; see --help)" ;;
esac
if [ "$setting" = real ]; then
  [ -n "$speech" ] || die "real: the folder of real speech is missing (see --help)"
  speech="$(cd "$called_from" && realpath -m "$speech")"
  [ -d "$speech" ] || die "'$speech': no such folder; give that of real speech, benchmarks/claims.sh real SPEECH"
else
  folds=all
fi
: "${cells:=$all}"
all="$all${longer:+ $longer}"
for cell in $cells; do
  [[ " $all " = *" $cell "* ]] || die "--cells '$cell': no such cell of $setting (there are: $all)"
done
# shellcheck source=path.sh
. ./path.sh

# The width at which a teacher's student is as much smaller as the paper's, as the teacher's YAML says.
width_of() {
  case "$1" in
    tdnn_half) echo 76 ;; etdnn_half) echo 98 ;;
    tdnn) echo 152 ;; etdnn) echo 200 ;; ftdnn) echo 290 ;;
    ecapa512) echo 218 ;; ecapa1024) echo 352 ;; resnet34) echo 220 ;;
  esac
}
# The concatenation of a teacher's levels.
concatenation_of() {
  case "$1" in
    ecapa*) echo frame4+frame+segment6 ;;
    resnet*) echo frame+segment6 ;;
    *) echo frame4+frame+segment6+segment7 ;;
  esac
}
# The students of a teacher, as --students has them.
students_of() {
  local all_levels
  all_levels="$(concatenation_of "$1")"
  echo "label frame:lda_cosine segment6:lda_cosine $all_levels:lda_cosine"
  if [ "$setting" != real ]; then echo "frame segment6 $all_levels"; fi
  if [ "$setting" = full ]; then
    echo stats
    if [[ "$all_levels" = *segment7 ]]; then echo segment7; fi
  fi
}

show() { if "$dry_run"; then printf '%q ' "$@"; echo; else "$@"; fi; }
# recipe OPTIONS...: ./run.sh, or in a dry run what of it tells which students there would be.
recipe() {
  local checked=()
  if "$dry_run"; then checked=(--dry-run --stage 6 --stop-stage 6); fi
  ./run.sh "$@" "${checked[@]}"
}

# run_cell CELL SEED FOLD
run_cell() {
  local cell="$1" seed="$2" fold="$3" teacher="$1" root="exp/claims/$setting/$1" folder given=() add=()
  local sets="options.sets" training="training.epochs=$epochs" labels="label" students concatenation
  if [[ "$cell" =~ ^(more_data|redimnet|with_synthetic)$ ]]; then teacher="$main"; fi
  concatenation="$(concatenation_of "$teacher")"
  students="$(students_of "$teacher" | paste -sd' ')"
  given=(--corpus synthetic)
  if [ "$setting" = full ]; then
    given+=(--data-root data/claims/full)
    given+=(--corpus-set "$sets.train.speakers=$speakers $sets.eval.speakers=1000 $sets.eval.utterances=[12,12]")
  fi
  case "$cell" in
    more_data)
      # Of another seed, so that the corpus has none of them; its dev and eval are not used.
      folder="data/claims/further_$setting"
      show ./run.sh --stop-stage 1 --corpus synthetic --data-root "$folder" --exp-root "exp/claims/further_$setting" \
        --corpus-set "options.seed=1 $sets.train.speakers=$further $sets.dev.speakers=4 $sets.eval.speakers=4"
      # In a dry run they may not be there yet.
      if ! "$dry_run" || [ -d "$folder/synthetic/train" ]; then given+=(--distill-data "$folder/synthetic/train"); fi
      # Beside the students of the same teacher, which is not trained again.
      root="exp/claims/$setting/$main" labels="" students="segment6:lda_cosine $concatenation:lda_cosine"
      # In as many steps as the others, though an epoch has more of them.
      training="training.epochs=$((epochs * speakers / (speakers + further)))"
      ;;
    redimnet) root="exp/claims/$setting/$main" ;;
    with_synthetic)
      show ./run.sh --stop-stage 1 --corpus synthetic
      add=(--add data/synthetic/train)
      training="training.epochs=$((epochs / 2))"  # of twice as many utterances
      ;;
  esac
  if [ "$setting" = real ]; then
    folder="data/claims/$([ "$cell" = with_synthetic ] && echo with_synthetic || echo real)"
    if [ ! -d "$folder/given$fold" ]; then
      # Under another name until it is whole.
      show rm -rf "$folder/part$fold"
      show python3 benchmarks/real_speech.py --folds 5 --fold "$fold" "${add[@]}" "$speech" "$folder/part$fold"
      show mv "$folder/part$fold" "$folder/given$fold"
    fi
    given=(--corpus "fold$fold" --data-root "$folder" --train-dir "$folder/given$fold/train")
    given+=(--dev-dir "$folder/given$fold/dev" --eval-dir "$folder/given$fold/eval")
  fi
  given+=(--exp-root "$root" --noisy-sets "dev eval" --durations "" --export "" --teacher "$teacher" --seed "$seed")
  given+=(--losses mse)
  if [ "$cell" = redimnet ]; then
    recipe "${given[@]}" --student redimnet8 --student-set "$training" --students "label segment6:lda_relational"
    recipe "${given[@]}" --student redimnet12 --student-set "$training" --students "label $concatenation:lda_cosine"
    return
  fi
  recipe "${given[@]}" --student "$student" --student-set "arch.width=$(width_of "$teacher") $training" \
    --students "$students"
  if [ "$teacher" != "$main" ]; then return; fi
  # Trunks that spend what lda_cosine and folding save on outputs.
  recipe "${given[@]}" --student "$other" --student-set "$training" --students "$labels $concatenation:lda_cosine"
  # The paper's widths have no student of fewer than 0.12 M parameters.
  if [ "$setting" = full ]; then
    recipe "${given[@]}" --student tdnn76 --student-set "$training" \
      --students "$labels segment6:lda_cosine $concatenation:lda_cosine"
  fi
}

failed=""
for seed in $seeds; do
  for fold in $folds; do
    for cell in $cells; do
      status=0
      # In a shell of its own, since bash heeds no set -e on the left of ||.
      set +e
      (set -e; run_cell "$cell" "$seed" "$fold")
      status=$?
      set -e
      if [ "$status" -gt 128 ]; then exit "$status"; fi
      if [ "$status" -ne 0 ]; then failed+=" $cell (seed $seed, fold $fold)"; fi
    done
  done
done
if ! "$dry_run"; then
  # shellcheck disable=SC2086
  python3 benchmarks/claims_table.py --seeds "$seeds" --figure "exp/claims/$setting/claims.png" \
    "$setting" "exp/claims/$setting" $all
fi
if [ -n "$failed" ]; then die "these cells failed:$failed"; fi
