# shellcheck shell=bash disable=SC2154
# The table of results, which stage 10 makes, and stage 11 again when it has measured what it exported.

# queue_results: tables and page of all that has scores.
queue_results() {
  local inputs outputs
  mapfile -t inputs < <(inputs_there "$exp"/*/scores/*/.done "$exp"/*/export/scores/*/.done)
  if [ "${#inputs[@]}" -eq 0 ] && ! "$dry_run"; then
    log "no table of results: nothing has been scored"
    return
  fi
  mapfile -t outputs < <(listed --output "$exp/results/files")
  queue "$exp/results/.done" "table of results" "${inputs[@]}" --input conf/evaluation.yaml "${outputs[@]}" -- \
    python3 pyscripts/make_results.py --evaluation conf/evaluation.yaml "${evaluation_overrides[@]}" --corpus "$corpus_config" \
    --show conf/backend.yaml "$exp" "$exp/results"
}
