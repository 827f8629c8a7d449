#!/usr/bin/env bash
# Stage 7: extracts the students' embeddings.
# usage: local/stage_07_extract_students.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

sets="$(sets_to_read)"
while read -r levels loss; do
  for set in $sets; do
    queue_extraction "$(student_dir "$levels" "$loss")" "$set" embedding \
      "embeddings of the student of $levels, $loss: $set"
  done
done < <(student_list)
# shellcheck disable=SC2086
run_queue "$exp/log" extract_students $extract_cmd
