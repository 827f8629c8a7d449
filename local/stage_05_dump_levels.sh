#!/usr/bin/env bash
# Stage 5: dumps the teacher's embeddings, all levels from one forward pass.
# usage: local/stage_05_dump_levels.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

sets="$(data_sets)"
for set in $sets; do
  queue_extraction "$teacher_dir" "$set" all "embeddings of the teacher: $set"
done
# shellcheck disable=SC2086
run_queue "$teacher_dir/log" extract $extract_cmd
