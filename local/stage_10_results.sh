#!/usr/bin/env bash
# Stage 10: the results of all models of the corpus that have scores: RESULTS.md, results.json, index.html and PNG files.
# usage: local/stage_10_results.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

inputs=()
for scores in "$exp"/*/scores/*/.done; do
  if [ -f "$scores" ]; then inputs+=(--input "$scores"); fi
done
if [ "${#inputs[@]}" -eq 0 ] && ! "$dry_run"; then
  log "no table of results: nothing has been scored"
  exit
fi
mapfile -t outputs < <(listed --output "$exp/results/files")
queue "$exp/results/.done" "table of results" "${inputs[@]}" --input conf/evaluation.yaml "${outputs[@]}" -- \
  python3 pyscripts/make_results.py --evaluation conf/evaluation.yaml --corpus "$corpus_config" \
  --show conf/backend.yaml "$exp" "$exp/results"
# shellcheck disable=SC2086
run_queue "$exp/log" results $score_cmd
if [ -f "$exp/results/RESULTS.md" ] && ! "$dry_run"; then
  # The first trial list, eval; the file has the others.
  awk '/^## / {list++} list < 2' "$exp/results/RESULTS.md"
  log "the other trial lists: $exp/results/RESULTS.md; with plots: $exp/results/index.html; all figures: results.json"
fi
