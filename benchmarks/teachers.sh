#!/usr/bin/env bash
# What makes a teacher good, one factor at a time: trains a teacher for each cell and seed, scores it, and prints the
# tables of docs/results.md. What is done is not done again: interrupted, the next start goes on.
#
# usage: benchmarks/teachers.sh [--seeds "0 1 2"] [--cells "softmax aam"] synthetic
#        benchmarks/teachers.sh [--seeds "0 1 2"] [--cells "softmax aam"] real SPEECH
#
# A cell is the half-size x-vector, trained with softmax on copies, but for what its name says. SPEECH is a folder of
# real speech, see benchmarks/real_speech.py. The method and the rule by which cells are judged stand in docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# options_of CELL
options_of() {
  case "$1" in
    softmax | with_synthetic) ;;
    aam) objective=aam ;;
    no_augmentation) options=(--augmentation none) ;;
    online) options=(--augmentation online) ;;
    speed) options=(--speed-factors "0.9 1.1") ;;
    vad_hmm) options=(--vad hmm) ;;
    etdnn | ftdnn | ecapa | resnet34) options=(--teacher "$1_half") ;;
    *) echo "no such cell: $1" >&2; exit 1 ;;
  esac
  options+=(--teacher-set "objective=$objective")
}

seeds="0 1 2"
cells=""
while [ $# -gt 1 ]; do
  case "$1" in
    --seeds) seeds="$2"; shift 2 ;;
    --cells) cells="$2"; shift 2 ;;
    *) break ;;
  esac
done
corpus="${1:?synthetic or real; see the head of this script}"
if [ "$corpus" = real ]; then
  speech="${2:?the folder of real speech; see the head of this script}"
  cells="${cells:-softmax aam no_augmentation vad_hmm with_synthetic}"
fi
cells="${cells:-softmax aam no_augmentation vad_hmm}"
# shellcheck source=path.sh
. ./path.sh

for seed in $seeds; do
  for cell in $cells; do
    options=() objective=softmax given=(--corpus "$corpus")
    options_of "$cell"
    if [ "$corpus" = real ]; then
      folder="data/real_given/$([ "$cell" = with_synthetic ] && echo with_synthetic || echo alone)"
      add=()
      if [ "$cell" = with_synthetic ]; then
        ./run.sh --stop-stage 1
        given=(--corpus real_with_synthetic) add=(--add data/synthetic/train)
      fi
      if [ ! -d "$folder/train" ]; then python3 benchmarks/real_speech.py "${add[@]}" "$speech" "$folder"; fi
      given+=(--train-dir "$folder/train" --dev-dir "$folder/dev" --eval-dir "$folder/eval")
    fi
    ./run.sh "${given[@]}" --exp-root "exp/teachers/$corpus/$cell" --noisy-sets "dev eval" --seed "$seed" \
      --students "" --skip-stages "6 7 11" "${options[@]}"
  done
done
# shellcheck disable=SC2086
python3 benchmarks/teachers_table.py "exp/teachers/$corpus" $cells
