#!/usr/bin/env bash
# Stage 10: the results: RESULTS.md and results.json of all models of the corpus that have scores.
# usage: local/stage_10_results.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

inputs=()
for scores in "$exp"/*/scores/*/.done; do
  if [ -f "$scores" ]; then inputs+=(--input "$scores"); fi
done
queue "$exp/results/.done" "table of results" "${inputs[@]}" --input conf/evaluation.yaml -- \
  python3 pyscripts/make_results.py --evaluation conf/evaluation.yaml --corpus "conf/corpora/$corpus.yaml" "$exp" "$exp/results"
# shellcheck disable=SC2086
run_queue "$exp/log" results $score_cmd
if [ -f "$exp/results/RESULTS.md" ] && ! "$dry_run"; then
  # The first trial list, eval; the file has the others.
  awk '/^## / {list++} list < 2' "$exp/results/RESULTS.md"
  log "the other trial lists: $exp/results/RESULTS.md; all figures: $exp/results/results.json"
fi
