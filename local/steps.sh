# shellcheck shell=bash disable=SC2034,SC2154
# Steps that are done once. A step that ended leaves DONE, its fingerprint (local/fingerprint.py); it is done
# again only if its command or an input (--input FILE) changed, an output (--output FILE) is gone, or with --force.
#   step DONE TITLE [--input FILE | --output FILE]... -- COMMAND...    runs a shell function that calls a launcher
#   queue DONE TITLE [--input FILE | --output FILE]... -- COMMAND...   keeps a command for
#   run_queue LOGS NAME LAUNCHER...                                    which runs what was kept as an array of jobs
#   run_training LOGS NAME LAUNCHER...                                 the same, each as the ranks that are asked for
queued=()
# Of a training: options of pyscripts/run_ranks.py, and the machines on which each command runs.
ranks=() machines=1

# inputs_there FILE...: --input for those that exist.
inputs_there() {
  local file
  for file in "$@"; do if [ -f "$file" ]; then printf -- '--input\n%s\n' "$file"; fi; done
}

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
  local logs="$1" name="$2" last="${#queued[@]}" line=JOB job files=()
  shift 2
  if [ "$last" -eq 0 ]; then return 0; fi
  if "$dry_run"; then
    printf '    %s\n' "${queued[@]}"
  else
    mkdir -p "$logs"
    printf '%s\n' "${queued[@]}" >"$logs/$name.jobs"
    if [ "$machines" -gt 1 ]; then last="$machines" line=1; fi
    "$@" JOB=1:"$last" "$logs/$name.JOB.log" local/cell.sh "${ranks[@]}" --line "$line" "$logs/$name.jobs"
    for ((job = 1; job <= last; job++)); do
      if [ -f "$logs/$name.$job.log" ]; then files+=("$logs/$name.$job.log"); fi
    done
    if [ "${#files[@]}" -gt 0 ]; then show_warnings "${files[@]}"; fi
  fi
  queued=()
}

# memory_of_all COUNT LAUNCHER...: its words, a line each, with as many times the memory that --mem asks for a process.
memory_of_all() {
  local count="$1" before="" word
  shift
  for word in "$@"; do
    if [[ "$before" = --mem && "$word" =~ ^([0-9.]+)([A-Za-z]*)$ ]]; then
      word="$(awk "BEGIN { print ${BASH_REMATCH[1]} * $count }")${BASH_REMATCH[2]}"
    fi
    printf '%s\n' "$word"
    before="$word"
  done
}

# Each training as --ngpu or --nproc ranks on each of --nnodes machines, which are jobs that have to run at the same
# time: with several machines, one training after the other.
run_training() {
  local logs="$1" name="$2" commands=("${queued[@]}") options launcher job
  shift 2
  if ((ngpu + nproc == 0 && nnodes == 1)); then run_queue "$logs" "$name" "$@"; return; fi
  options=(--ranks "$((ngpu + nproc > 0 ? ngpu + nproc : 1))")
  if [ "$ngpu" -gt 0 ]; then options+=(--gpus); fi
  if ((ngpu + nproc > 0)); then set -- "$@" --gpu "$ngpu"; fi
  mapfile -t launcher < <(memory_of_all "${options[1]}" "$@")
  set -- "${launcher[@]}"
  if [ "$nnodes" -eq 1 ]; then
    ranks=("${options[@]}")
    run_queue "$logs" "$name" "$@"
  else
    machines="$nnodes"
    for job in "${!commands[@]}"; do
      # A new name each time: nobody comes to where those before have met.
      "$dry_run" || rm -f "$logs/$name".meeting.*
      ranks=("${options[@]}" --node "JOB/$nnodes" --meeting "$logs/$name.meeting.$$.$RANDOM" --minutes "$meeting_minutes")
      queued=("${commands[job]}")
      # A job that SLURM started anew would find the others gone.
      SBATCH_NO_REQUEUE=1 run_queue "$logs" "$name.$((job + 1))" "$@" --max-jobs-run "$nnodes"
    done
  fi
  ranks=() machines=1
}

# merge_scripts OUT PART...: joins the script files of the jobs of an array.
merge_scripts() {
  local out="$1"
  shift
  sort "$@" >"$out.tmp"
  mv "$out.tmp" "$out"
}
