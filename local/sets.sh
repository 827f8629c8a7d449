# shellcheck shell=bash disable=SC2034,SC2154
# The sets of a corpus, and what the networks of this run read of them.

# The sets of the corpus, train first, and of those that stage 2 has made, and of those without labels, the ones that
# this run wants.
data_sets() {
  local path set sets
  sets="$(for path in "$data/train" "$data"/*/; do
    set="$(basename "$path")"
    if [ -f "$path/.augmented" ] && [[ " ${derived_sets[*]} " != *" $set "* ]]; then continue; fi
    if [ -f "$path/.unlabelled" ] && [[ " ${unlabelled_sets[*]} " != *" $set "* ]]; then continue; fi
    if [ -f "$path/utt2spk" ] || [ -f "$path/.prepared" ]; then echo "$set"; fi
  done | awk '!seen[$0]++')"
  if [ -z "$sets" ] && "$dry_run"; then
    # shellcheck disable=SC2086
    sets="$(printf '%s\n' $expected_sets "${derived_sets[@]}")"
  fi
  [ -n "$sets" ] || die "$data: no data directories; run stage 1 first"
  echo "$sets"
}

# those_there SET...: the ones that are there.
those_there() {
  local set sets
  sets="$(data_sets)" || exit 1
  for set in "$@"; do
    if grep -qx "$set" <<<"$sets"; then echo "$set"; fi
  done
}
# The sets that networks are trained on.
train_sets() { those_there train "${derived_train[@]}"; }
# The sets that back ends are trained on.
backend_sets() { if "$backend_copies"; then train_sets; else echo train; fi; }
# The sets without labels that students are distilled on, and their copies.
distilled_sets() { those_there "${unlabelled_sets[@]}" "${derived_unlabelled[@]}"; }

# without_training_sets SET...: without those that are of use in training alone, copies and what has no labels.
without_training_sets() {
  local set
  for set in "$@"; do
    if [[ " ${derived_train[*]} ${unlabelled_sets[*]} ${derived_unlabelled[*]} " != *" $set "* ]]; then echo "$set"; fi
  done
}

# The sets of which others than students in training read embeddings.
sets_to_read() {
  local sets
  sets="$(data_sets)" || exit 1
  # shellcheck disable=SC2086
  { without_training_sets $sets; backend_sets; } | awk '!seen[$0]++'
}

# source_of SET: what stage 2 makes it of.
source_of() {
  case "$1" in
    train_sp) echo train ;;
    *"_$augmentation") echo "${1%"_$augmentation"}" ;;
    *) echo "${1%_noisy}" ;;
  esac
}
# prepared SET: the mark of what stage 1 made it with.
prepared() {
  if [[ " ${unlabelled_sets[*]} " == *" $1 "* ]]; then echo "$data/$1/.done.prepared"; else echo "$data/.done"; fi
}

# training_options: --data-dir for each of them; and --dev-dir, if there is a set to look at on the way.
training_options() {
  local set sets
  sets="$(train_sets)" || exit 1
  for set in $sets; do printf -- '--data-dir\n%s\n' "$data/$set"; done
  # Not grep -q, which may end before the list does and so make its writer fail.
  if data_sets | grep -x dev >/dev/null; then printf -- '--dev-dir\n%s\n' "$data/dev"; fi
}

# shards_name teacher|student: data/<corpus>/<set>/shards/<name> has what the network reads.
shards_name() {
  local name changes
  name="$(setting_of "$1" input)"
  changes="$(input_changes "$1")"
  if [ -n "$changes" ]; then name="${name}_$(sha256sum <<<"$changes" | head -c 8)"; fi
  echo "$name"
}
# input_changes teacher|student: what options replace of the network's input, KEY=VALUE lines.
input_changes() {
  local -n all="$1_overrides"
  printf '%s\n' "${all[@]}" | sed -n 's/^input\.//p'
}

# training_inputs teacher|student: --input for what these name, and for an objective or input that an option names.
training_inputs() {
  local set sets key file
  sets="$(train_sets)" || exit 1
  for set in $sets $(data_sets | grep -x dev); do set_inputs "$1" "$set"; done
  for set in $sets; do shards_input "$1" "$set"; done
  for key in objective input; do
    file="conf/${key}s/$(setting_of "$1" "$key").yaml"
    if [ -f "$file" ]; then config_inputs "$file"; fi
  done
  if [ "${#online_options[@]}" -gt 0 ]; then
    config_inputs "$augmentation_config"
    printf -- '--input\n%s\n' "$data/noise/.done"
  fi
}

# shards_input teacher|student SET: --input for its shards, if they are read.
shards_input() {
  if [ "$reading" = shards ]; then printf -- '--input\n%s\n' "$data/$2/.done.shards_$(shards_name "$1")"; fi
}

# has_level FOLDER SET LEVEL: whether there are, or will be, such embeddings; those from elsewhere may lack some sets.
has_level() { [ -z "$teacher_embeddings" ] || [ "$1" != "$teacher_dir" ] || [ -f "$1/embeddings/$2/$3.scp" ]; }
# scored_sets FOLDER LEVEL: the sets that have trials, and these embeddings.
scored_sets() {
  local set
  for set in $(data_sets); do
    # Before stage 1, a dry run takes it that all but train have trials.
    if ! any "$data/$set"/trials* && { [ -d "$data/$set" ] || [[ "$set" = train* ]]; }; then continue; fi
    if has_level "$1" "$set" "$2"; then echo "$set"; fi
  done
}

# features_of teacher|student: the features that a network reads, conf/features/<name>.yaml.
features_of() {
  local input features=""
  if [ -n "$apply" ]; then
    sed -n '/^input:/,/^[^ ]/s/^  features: //p' "$apply/config.yaml"
    return
  fi
  if [ "$1" = teacher ] && [ -n "$teacher_embeddings" ]; then return; fi
  if [ "$1" = teacher ] && [ -n "${teacher_input:-}" ]; then
    input="$teacher_input"
  else
    input="conf/inputs/$(setting_of "$1" input).yaml"
    features="$(setting_of "$1" input.features)"
  fi
  if [ -z "$features" ] && [ -f "$input" ]; then features="$(yaml_value "$input" features)"; fi
  echo "$features"
}
# The features of this run, first those that the VAD reads.
feature_kinds() { { echo "$vad_features"; features_of teacher; features_of student; } | awk 'NF && !seen[$0]++'; }
# set_inputs teacher|student SET...: --input for what a network reads of sets, features and VAD.
set_inputs() {
  local name set
  name="$(features_name "$(features_of "$1")")"
  shift
  for set in "$@"; do
    printf -- '--input\n%s\n' "$data/$set/$set_done"
    # The VAD stands on those that it reads.
    if [ "$name" != "$vad_feats" ] && [ "$name" != feats_ ]; then printf -- '--input\n%s\n' "$data/$set/.done.$name"; fi
  done
}
