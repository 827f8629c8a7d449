# shellcheck shell=bash disable=SC2034,SC2154
# Steps that are done once. A step that ended leaves DONE, its fingerprint (local/fingerprint.py); it is done
# again only if its command or an input (--input FILE) changed, an output (--output FILE) is gone, or with --force.
#   step DONE TITLE [--input FILE | --output FILE]... -- COMMAND...    runs a shell function that calls a launcher
#   queue DONE TITLE [--input FILE | --output FILE]... -- COMMAND...   keeps a command for
#   run_queue LOGS NAME LAUNCHER...                                    which runs what was kept as an array of jobs
queued=()

# Returns 0 if the step is to be done.
pending() {
  local done="$1" title="$2" new reason status=0
  shift 2
  new="$("$dry_run" || echo "$done.new")"
  reason="$(XVKD_FORCE="$(! "$force" || echo 1)" python3 -I local/fingerprint.py "$done" "$new" "$@")" || status=$?
  case "$status" in
    0) log "up to date: $title"; return 1 ;;
    2) log "$title${reason:+ ($reason)}" ;;
    *) exit 1 ;;
  esac
}

would_run() { printf '    %s\n' "${*@Q}"; }
if "$dry_run"; then
  for _name in data_cmd train_cmd extract_cmd score_cmd; do printf -v "$_name" 'would_run %s' "${!_name}"; done
fi
# Runs a command that is not a job.
run() { if "$dry_run"; then would_run "$@"; else "$@"; fi; }

step() {
  local done="$1"
  pending "$@" || return 0
  "$dry_run" || rm -f "$done"
  while [ "$1" != -- ]; do shift; done
  shift
  "$@"
  run mv "$done.new" "$done"
}

queue() {
  local done="$1"
  pending "$@" || return 0
  while [ "$1" != -- ]; do shift; done
  shift
  queued+=("$(printf '%q ' local/cell.sh "$done" "$@")")
}

# show_warnings LOG...: what jobs that ended well have warned of, each once and the first few.
show_warnings() {
  awk 'sub(/^[-0-9]+ [:0-9]+ warning: /, "") && !seen[$0]++ && ++count <= 5 { print "    warning: " $0 }
    END { if (count > 5) print "    and " count - 5 " more warnings, in " FILENAME " and its like" }' "$@" >&2
}

run_queue() {
  local logs="$1" name="$2" job files=()
  shift 2
  if [ "${#queued[@]}" -eq 0 ]; then return 0; fi
  if "$dry_run"; then
    printf '    %s\n' "${queued[@]}"
  else
    mkdir -p "$logs"
    printf '%s\n' "${queued[@]}" >"$logs/$name.jobs"
    "$@" JOB=1:"${#queued[@]}" "$logs/$name.JOB.log" local/cell.sh --line JOB "$logs/$name.jobs"
    for ((job = 1; job <= ${#queued[@]}; job++)); do
      if [ -f "$logs/$name.$job.log" ]; then files+=("$logs/$name.$job.log"); fi
    done
    if [ "${#files[@]}" -gt 0 ]; then show_warnings "${files[@]}"; fi
  fi
  queued=()
}

# merge_scripts OUT PART...: joins the script files of the jobs of an array.
merge_scripts() {
  local out="$1"
  shift
  sort "$@" >"$out.tmp"
  mv "$out.tmp" "$out"
}
