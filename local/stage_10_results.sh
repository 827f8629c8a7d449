#!/usr/bin/env bash
# Stage 10: the results of all models of the corpus that have scores: RESULTS.md, results.json, index.html and PNG files.
# usage: local/stage_10_results.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=local/results.sh
. local/results.sh

queue_results
# shellcheck disable=SC2086
run_queue "$exp/log" results $score_cmd
if [ -f "$exp/results/RESULTS.md" ] && ! "$dry_run"; then
  # The first trial list, eval; the file has the others.
  awk '/^## / {list++} list < 2' "$exp/results/RESULTS.md"
  log "the other trial lists: $exp/results/RESULTS.md; with plots: $exp/results/index.html; all figures: results.json"
fi
