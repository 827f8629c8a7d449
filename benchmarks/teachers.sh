#!/usr/bin/env bash
# What makes a teacher good, one factor at a time: trains a teacher for each cell and seed, scores it, and prints the
# tables of docs/results.md. A cell that is done is not done again; interrupted, the next start goes on.
#
# usage: benchmarks/teachers.sh [--seeds "0 1 2"] [--cells "default aam"] synthetic [run.sh options]
#        benchmarks/teachers.sh [--seeds ...] [--cells ...] real SPEECH [run.sh options]
#
# SPEECH is a folder of real speech, see benchmarks/real_speech.py.
set -euo pipefail
cd "$(dirname "$0")/.."

# The cells: what differs from the default configuration of the half-size x-vector.
declare -A cells=(
  [default]=""
  [aam]="--teacher-set objective=aam"
  [no_augmentation]="--augmentation none"
  [vad_hmm]="--vad hmm"
  [speed]="--speed-factors 0.9,1.1"
  [with_synthetic]=""                  # real speech: the synthetic training speakers are added
  [etdnn]="--teacher etdnn_half"
  [ftdnn]="--teacher ftdnn_half"
  [ecapa]="--teacher ecapa_half"
  [resnet34]="--teacher resnet34_half"
)
seeds="0 1 2"
chosen=""
while [ $# -gt 0 ]; do
  case "$1" in
    --seeds) seeds="$2"; shift 2 ;;
    --cells) chosen="$2"; shift 2 ;;
    *) break ;;
  esac
done
corpus="${1:?synthetic or real}"
shift
if [ "$corpus" = real ]; then
  speech="${1:?a folder of real speech}"
  shift
  [ -n "$chosen" ] || chosen="default aam no_augmentation vad_hmm with_synthetic"
  python3 benchmarks/real_speech.py "$speech" data/real_given
else
  [ -n "$chosen" ] || chosen="default aam no_augmentation vad_hmm etdnn ftdnn ecapa resnet34"
fi

for seed in $seeds; do
  for cell in $chosen; do
    given=(--corpus "$corpus")
    if [ "$corpus" = real ]; then
      train=data/real_given/train
      if [ "$cell" = with_synthetic ]; then
        # Its training set is another: another corpus.
        train=data/real_given/with_synthetic
        given=(--corpus real_with_synthetic)
        python3 benchmarks/real_speech.py --add data/synthetic/train "$speech" data/real_given/both
        rm -rf "$train" && cp -r data/real_given/both/train "$train"
      fi
      given+=(--train-dir "$train" --dev-dir data/real_given/dev --eval-dir data/real_given/eval)
    fi
    # shellcheck disable=SC2086
    ./run.sh "${given[@]}" --exp-root "exp/teachers/$cell" --noisy-sets "dev eval" --seed "$seed" --students "" \
      --skip-stages "6 7 11" ${cells[$cell]} "$@"
  done
done
# shellcheck disable=SC2086
python3 benchmarks/teachers_table.py exp/teachers "$corpus" $chosen
