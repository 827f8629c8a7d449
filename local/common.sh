# shellcheck shell=bash disable=SC2034
# What run.sh and every stage share; sourced with the command line's arguments from any folder. Afterwards
# the options are variables, the environment is set, and the current folder is the root of the project.
called_from="$PWD"
export XVKD_CALLED_FROM="$PWD"
unset CDPATH
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# Launchers end their jobs when one of these processes, run.sh and the stage, is killed.
export XVKD_CALLERS="${XVKD_CALLERS:+$XVKD_CALLERS }$$"

log() { printf '%s %s\n' "$(date '+%H:%M:%S')" "$*" >&2; }
die() { printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
# choices FOLDER SUFFIX: the names that its files give to choose from.
choices() { basename -a -s "$2" "$1"/*"$2" | paste -sd' '; }
# base_of FILE: the name of the YAML file beside it that it stands on, if any.
base_of() { sed -n 's/^base: *\([A-Za-z0-9_]*\).*/\1/p' "$1"; }
# yaml_value FILE KEY: a value that stands at the left margin of a file, or of its base.
yaml_value() {
  local value base
  value="$(sed -n "s/^$2: *\([^ #]*\).*/\1/p" "$1")"
  base="$(base_of "$1")"
  if [ -z "$value" ] && [ -n "$base" ]; then value="$(yaml_value "$(dirname "$1")/$base.yaml" "$2")"; fi
  printf '%s' "$value"
}
# features_name KIND: of their script and mark, as features/network_input.py has it.
features_name() { if [ "$1" = mfcc ]; then echo feats; else echo "feats_$1"; fi; }
# any PATTERN: whether a pattern, expanded, names a file.
any() { [ -e "$1" ]; }

# The comments beside the options are their documentation: --help prints them.
usage() {
  (cd "$called_from" && sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0")
  printf '\noptions, with their defaults (those of the preset %s last):\n' "$preset"
  sed -n 's/^\([a-z0-9_]*\)=\("[^"]*"\|[^ ]*\) *# \(.*\)/\1|\2|\3/p' local/options.sh "conf/presets/$preset.sh" \
    | while IFS='|' read -r name value text; do
        printf '  --%-16s %s (%s)\n' "${name//_/-}" "$text" "$value"
      done
}

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) \
  || die "bash $BASH_VERSION is too old: 4.4 or newer is needed (macOS: brew install bash)"

# shellcheck source=local/options.sh
. local/options.sh
for ((_i = 1; _i <= $#; _i++)); do
  case "${!_i}" in
    --preset) _j=$((_i + 1)); preset="${!_j:-}" ;;
    --preset=*) preset="${!_i#*=}" ;;
  esac
done
[[ "$preset" =~ ^[A-Za-z0-9_]+$ && -f "conf/presets/$preset.sh" ]] \
  || die "--preset '$preset': no such preset (there are: $(choices conf/presets .sh))"
# shellcheck source=conf/presets/mini.sh
. "conf/presets/$preset.sh"
arguments=("$@")
allowed_options="$(sed -n 's/^\([a-z0-9_]*\)=.*/\1/p' local/options.sh "conf/presets/$preset.sh")"
# shellcheck source=local/parse_options.sh
. local/parse_options.sh
set -- "${arguments[@]}"
if "$help"; then usage; exit 0; fi

for _name in stage stop_stage seed nj max_bad_utts ngpu nproc nnodes; do
  [[ "${!_name}" =~ ^[0-9]{1,9}$ ]] || die "--${_name//_/-} '${!_name}': expected a whole number of at least 0"
  printf -v "$_name" '%d' "$((10#${!_name}))"
done
((stage <= stop_stage)) || die "--stage $stage: comes after --stop-stage $stop_stage, so that nothing would run"
((nnodes > 0)) || die "--nnodes 0: a training needs a machine; expected at least 1"
((ngpu == 0 || nproc == 0)) || die "--ngpu $ngpu, --nproc $nproc: a training is either on GPUs or on the processor; leave one out"
[[ "$skip_stages" =~ ^[0-9\ ]*$ ]] \
  || die "--skip-stages '$skip_stages': expected stages with spaces between, such as \"2 11\""
# What is given says which source the corpus has. Its name, which --corpus may give, then needs no YAML of its own.
given_corpus=""
for _name in audio:folder cuts:cuts train_dir:kaldi dev_dir:kaldi eval_dir:kaldi voxceleb1_root:voxceleb \
  voxceleb2_root:voxceleb; do
  _option="${_name%:*}"
  if [ -n "${!_option}" ]; then
    [ -z "$given_corpus" ] || [ "$given_corpus" = "${_name#*:}" ] \
      || die "--${_option//_/-}: one corpus a run: give either --audio, --cuts, --voxceleb1-root with --voxceleb2-root, or --train-dir with --dev-dir and --eval-dir"
    given_corpus="${_name#*:}"
  fi
done
if [ -n "$given_corpus" ] && [[ " $given_options " != *" corpus "* ]]; then corpus="$given_corpus"; fi
corpus_config="conf/corpora/$corpus.yaml"
if [ -n "$given_corpus" ] && [ ! -f "$corpus_config" ]; then corpus_config="conf/corpora/$given_corpus.yaml"; fi
for _name in corpus teacher student; do
  case "$_name" in corpus) _kind=corpora ;; *) _kind="${_name}s" ;; esac
  _file="conf/$_kind/${!_name}.yaml"
  if [ "$_name" = corpus ]; then _file="$corpus_config"; fi
  [[ "${!_name}" =~ ^[A-Za-z0-9_]+$ && -f "$_file" ]] \
    || die "--$_name '${!_name}': no such file as conf/$_kind/${!_name}.yaml (there are: $(choices "conf/$_kind" .yaml))"
done
# path_of OPTION PATH: its one name. Paths on the command line are meant from where the user stands. A folder has one
# name however it is written, and the same from everywhere, or what is up to date would be done again.
path_of() {
  local path="$2"
  # A launcher would put a job's number in the place of JOB; a comma parts an archive from its script file.
  [[ "$path" != *JOB* && "$path" != *,* ]] || die "--${1//_/-} '$path': neither 'JOB' nor a comma may stand in the name"
  [[ "$path" != *$'\n'* ]] || die "--${1//_/-} ${path@Q}: a line break in the name; rename it"
  if [[ " $given_options " == *" $1 "* ]]; then path="$(cd "$called_from" && realpath -ms "$path")"; fi
  realpath -ms --relative-base="$PWD" "$path"
}
# Options that say where a corpus is, or its trials; each becomes an option of the same name in its YAML.
corpus_paths="audio cuts train_dir dev_dir eval_dir voxceleb1_root voxceleb2_root trials_root corpus_root trials enrol"
for _name in $corpus_paths musan rirs teacher_embeddings teacher_nnet3 teacher_onnx init_model apply apply_to \
  data_root exp_root; do
  if [ -n "${!_name}" ]; then
    _folder="$(path_of "$_name" "${!_name}")" || exit 1
    printf -v "$_name" '%s' "$_folder"
  fi
done
# What a preset cannot do without, all of it told at once, and before anything is done.
_folder=""
for _name in $needs; do
  [[ " ${allowed_options//$'\n'/ } " == *" $_name "* ]] || die "--needs '$needs': expected names of options, such as \"musan rirs\""
  case "$_name" in
    musan) _kind=" (MUSAN as it is unpacked, www.openslr.org/17)" ;;
    rirs) _kind=" (the folder RIRS_NOISES, www.openslr.org/28)" ;;
    *) _kind="" ;;
  esac
  if [ -z "${!_name}" ] && [ -z "$apply" ]; then _folder="$_folder, --${_name//_/-} DIR$_kind"; fi
done
[ -z "$_folder" ] || die "--preset $preset needs ${_folder#, }: give it, or do without with --needs \"\" (docs/presets.md)"
for _name in musan rirs; do
  [ -z "${!_name}" ] || [ -d "${!_name}" ] || die "--$_name '${!_name}': no such folder"
done
# The sets that the data of --distill-data become.
unlabelled_sets=() unlabelled_sources=()
for _folder in $distill_data; do
  _folder="$(path_of distill_data "$_folder")" || exit 1
  [ -e "$_folder" ] || die "--distill-data '$_folder': no such folder or file"
  _name="$(basename "$_folder")"
  _name="distill_${_name//[!A-Za-z0-9]/_}_$(printf '%s' "$_folder" | sha256sum | head -c 4)"
  [[ " ${unlabelled_sets[*]} " != *" $_name "* ]] || die "--distill-data '$_folder': stands twice"
  unlabelled_sets+=("$_name") unlabelled_sources+=("$_folder")
done
# The VAD's name is that of its configuration and of what it writes, data/<corpus>/<set>/<name>.scp.
vad_name=vad
if [ "$vad" != energy ]; then vad_name="vad_$vad"; fi
[[ "$vad" =~ ^[A-Za-z0-9_]+$ && -f "conf/features/$vad_name.yaml" ]] \
  || die "--vad '$vad': no such file as conf/features/$vad_name.yaml (there are: energy $(choices conf/features .yaml | grep -o 'vad_[^ ]*' | sed 's/^vad_//' | paste -sd' '))"
vad_kind="$(yaml_value "conf/features/$vad_name.yaml" kind)"
[[ "$vad_backend" =~ ^(viterbi|k2)$ ]] || die "--vad-backend '$vad_backend': there are viterbi and k2"
! "$vad_posteriors" || [ "$vad_kind" != energy ] || die "--vad-posteriors: the energy VAD has none; add --vad hmm"
[[ "$augmentation" =~ ^[A-Za-z0-9_]+$ && -f "conf/augmentation/$augmentation.yaml" ]] \
  || die "--augmentation '$augmentation': no such file as conf/augmentation/$augmentation.yaml (there are: $(choices conf/augmentation .yaml))"
[[ "$reading" =~ ^(random|shards)$ ]] || die "--reading '$reading': there are random and shards"
[[ "$speed_factors" =~ ^[0-9.\ ]*$ ]] || die "--speed-factors '$speed_factors': expected numbers with spaces between, such as \"0.9 1.1\""
[[ " $noisy_sets " != *" train "* && "$noisy_sets" =~ ^[A-Za-z0-9_\ ]*$ ]] \
  || die "--noisy-sets '$noisy_sets': expected sets to test on, with spaces between, such as \"dev eval\""
for _name in $durations; do
  [[ "$_name" =~ ^[0-9]+(\.[0-9]+)?$ && "$_name" = *[1-9]* ]] \
    || die "--durations '$durations': expected seconds with spaces between, such as \"1 2 4\""
done
# no_use OPTION WHY: an option that would be passed over is a mistake.
no_use() { [[ " $given_options " != *" $1 "* ]] || die "--${1//_/-}: has no use $2; leave it out"; }
# corpus_takes OPTION [FILE]: whether the corpus's YAML, or one that it stands on, has such an option.
corpus_takes() {
  local file="${2:-$corpus_config}" base
  if grep -q "^  $1:" "$file"; then return 0; fi
  base="$(base_of "$file")"
  [ -n "$base" ] && corpus_takes "$1" "$(dirname "$file")/$base.yaml"
}
for _name in $corpus_paths; do
  if ! corpus_takes "$_name"; then no_use "$_name" "with --corpus $corpus"; fi
done
if corpus_takes corpus_root; then
  corpus_root="${corpus_root:-$data_root/downloads/$corpus}"
else
  no_use download "with --corpus $corpus"
fi
if [ "$vad_kind" = energy ]; then no_use vad_backend "without --vad hmm"; fi
if [ -z "$apply" ]; then for _name in level apply_to; do no_use "$_name" "without --apply"; done; fi
if [ -n "$apply" ]; then no_use distill_data "with --apply"; fi
if [ -z "$teacher_onnx" ]; then no_use levels "without --teacher-onnx"; fi
if [ -z "$teacher_nnet3$teacher_onnx" ]; then no_use teacher_input "without --teacher-onnx or --teacher-nnet3"; fi
if [ -n "$teacher_nnet3$teacher_onnx$teacher_embeddings" ]; then
  for _name in teacher teacher_set; do no_use "$_name" "where the teacher is given"; done
fi
# nproc heeds OMP_NUM_THREADS, which a calling script may have set for its jobs.
cores="$(env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
[ "$nj" -gt 0 ] || nj="$cores"
unset _folder _file _kind _option _i _j

# shellcheck source=path.sh
. ./path.sh
# shellcheck source=cmd.sh
. ./cmd.sh

# The tree: see the README's map.
data="$data_root/$corpus"
exp="$exp_root/$corpus"
if [ "$vad" != energy ]; then exp="$exp-$vad"; fi
if [ "$augmentation" != copies ]; then exp="$exp-$augmentation"; fi
if [ -n "$speed_factors" ]; then exp="$exp-sp"; fi
vad_config="conf/features/$vad_name.yaml"
expected_sets="train dev eval ${unlabelled_sets[*]}"
augmentation_config="conf/augmentation/$augmentation.yaml"
# The sets that stage 2 makes, as far as this run wants them: those to train on; copies of what is distilled without
# labels; all. Who has a teacher's embeddings from elsewhere trains on what they are of.
derived_train=() derived_unlabelled=() derived_sets=() online=false online_options=()
if [ -z "$apply" ]; then
  for _name in ${speed_factors:+train_sp} "train_$augmentation" "${unlabelled_sets[@]/%/_$augmentation}"; do
    if [ "$_name" != train_sp ] && [ "$(yaml_value "$augmentation_config" copies)" = 0 ]; then continue; fi
    if [ -n "$teacher_embeddings" ] && [ ! -d "$teacher_embeddings/$_name" ]; then continue; fi
    if [[ "$_name" = train_* ]]; then derived_train+=("$_name"); else derived_unlabelled+=("$_name"); fi
  done
  derived_sets=("${derived_train[@]}" "${derived_unlabelled[@]}")
  for _name in $noisy_sets; do derived_sets+=("${_name}_noisy"); done
  # Of the training commands, where chunks are augmented on the fly; stage 2 says why there is nothing to do it with.
  if [[ ! "$(yaml_value "$augmentation_config" online)" =~ ^0(\.0*)?$ ]]; then
    online=true
  fi
  if "$online" && [ "$reading" = shards ]; then
    die "--reading shards: has no audio to augment on the fly; leave it out, or take --augmentation copies"
  fi
  if "$online" && { [ ! -d "$data/train" ] || [ -f "$data/train/manifests/cuts.jsonl.gz" ]; } && [ ! -f "$data/train/given/feats.scp" ]; then
    online_options=(--augmentation "$augmentation_config" --noise "$data/noise")
  fi
else
  # shellcheck source=local/applied.sh
  . local/applied.sh
fi
# What the VAD reads: data/<corpus>/<set>/<vad_feats>.scp. (That of a model's record is not there before it is written.)
vad_features="$([ ! -f "$vad_config" ] || yaml_value "$vad_config" features)"
vad_features="${vad_features:-mfcc}"
vad_feats="$(features_name "$vad_features")"
# setting_of teacher|student KEY: a value of its YAML, or what --teacher-set or --student-set says.
setting_of() {
  local overrides="$1_set" word found
  found="$(yaml_value "conf/$1s/${!1}.yaml" "$2")"
  for word in ${!overrides}; do if [[ "$word" = "$2="* ]]; then found="${word#*=}"; fi; done
  echo "$found"
}
teacher_name="$teacher"
_name="$(setting_of teacher objective)"
if [ "$_name" != "$(yaml_value "conf/teachers/$teacher.yaml" objective)" ]; then teacher_name="${teacher}_$_name"; fi
teacher_dir="$exp/teacher_${teacher_name}_s$seed"
teacher_done="$teacher_dir/.done"
_given=0
for _name in teacher_embeddings teacher_nnet3 teacher_onnx; do if [ -n "${!_name}" ]; then _given=$((_given + 1)); fi; done
((_given < 2)) || die "--teacher-embeddings, --teacher-nnet3, --teacher-onnx: one teacher a run; leave the others out"
# A network from elsewhere has no seed, and its content for a name.
teacher_file=model.safetensors
if [ -n "$teacher_nnet3$teacher_onnx" ]; then
  if [ -n "$teacher_nnet3" ]; then _name=nnet3 teacher_input="${teacher_input:-mfcc_cmn_voiced}"; else _name=onnx; fi
  _file="$teacher_nnet3$teacher_onnx"
  [ -f "$_file" ] || die "--teacher-$_name '$_file': no such file"
  if [ "$_name" = onnx ]; then
    teacher_file=model.onnx
    [ -n "$levels" ] \
      || die "--teacher-onnx: which levels? Give --levels LEVEL=NODE,... (pyscripts/import_onnx.py --list MODEL prints the nodes)"
    [[ "$levels" != *JOB* ]] || die "--levels '$levels': 'JOB' may not stand in a name"
    [ -n "$teacher_input" ] || die "--teacher-onnx: what does it read? Give --teacher-input NAME (there are: $(choices conf/inputs .yaml))"
  fi
  [[ "$teacher_input" =~ ^[A-Za-z0-9_]+$ && -f "conf/inputs/$teacher_input.yaml" ]] \
    || die "--teacher-input '$teacher_input': no such file as conf/inputs/$teacher_input.yaml (there are: $(choices conf/inputs .yaml))"
  teacher_name="${_name}_$({ if [ -n "$levels" ]; then echo "$levels"; fi; cat "$_file"; } | sha256sum | head -c 8)"
  if [ "$teacher_input" != mfcc_cmn_voiced ]; then teacher_name="${teacher_name}_$teacher_input"; fi
  teacher_input="conf/inputs/$teacher_input.yaml"
  teacher_dir="$exp/teacher_$teacher_name"
  teacher_done="$teacher_dir/.done"
fi
# Embeddings from elsewhere have neither seed nor network; their name has the path, so that no two share one.
if [ -n "$teacher_embeddings" ]; then
  any "$teacher_embeddings"/train/*.scp \
    || die "--teacher-embeddings '$teacher_embeddings': expected train/<level>.scp in it (and, to score the teacher, dev/ and eval/)"
  for _i in "${!unlabelled_sets[@]}"; do
    any "$teacher_embeddings/${unlabelled_sets[_i]}"/*.scp \
      || die "--distill-data '${unlabelled_sources[_i]}': --teacher-embeddings has none of it: expected $teacher_embeddings/${unlabelled_sets[_i]}/<level>.scp"
  done
  teacher_name="$(basename "$teacher_embeddings")"
  teacher_name="ext_${teacher_name//[!A-Za-z0-9_.]/_}_$(printf '%s' "$teacher_embeddings" | sha256sum | head -c 8)"
  teacher_dir="$exp/teacher_$teacher_name"
  teacher_done="$teacher_dir/embeddings/train/.done"
fi
# "a=1 b=2" -> --set a=1 --set b=2
overrides() {
  local word words
  read -rd '' -a words <<<"$1" || true
  for word in "${words[@]}"; do printf -- '--set\n%s\n' "$word"; done
}
# flags_of "a_b=1 c=2" KEY... -> --a-b=1, of these keys alone: no step is done again for the others
flags_of() {
  local key words word
  read -rd '' -a words <<<"$1" || true
  shift
  for word in "${words[@]}"; do
    key="${word%%=*}"
    if [[ " $* " == *" $key "* ]]; then printf -- '--%s=%s\n' "${key//_/-}" "${word#*=}"; fi
  done
}
mapfile -t corpus_overrides < <(overrides "$corpus_set")
for _name in $corpus_paths; do
  # Quoted for YAML.
  if [ -n "${!_name}" ]; then corpus_overrides+=(--set "options.$_name='${!_name//\'/\'\'}'"); fi
done
if corpus_takes max_bad_utts && [[ " $given_options " == *" max_bad_utts "* ]]; then
  corpus_overrides+=(--set "options.max_bad_utts=$max_bad_utts")
fi
mapfile -t teacher_overrides < <(overrides "$teacher_set")
mapfile -t student_overrides < <(overrides "$student_set")
mapfile -t noise_overrides < <(overrides "$noise_set")
mapfile -t backend_overrides < <(overrides "$backend_set")
mapfile -t evaluation_overrides < <(overrides "$evaluation_set")
# Where a command's --set is of another file.
evaluation_overrides=("${evaluation_overrides[@]/#--set/--evaluation-set}")
input_overrides=()
if [ "$vad" != energy ]; then
  input_overrides=(--set "vad=$vad_name")
  teacher_overrides+=(--set "input.vad=$vad_name")
  student_overrides+=(--set "input.vad=$vad_name")
fi
if [ "$reading" != random ]; then
  teacher_overrides+=(--set "training.reading=$reading")
  student_overrides+=(--set "training.reading=$reading")
fi
# What a set has when stage 3 is done with its VAD; another VAD's mark is another's.
set_done=".done"
if [ "$vad" != energy ]; then set_done=".done.$vad_name"; fi

# shellcheck source=local/students.sh
. local/students.sh
# shellcheck source=local/sets.sh
. local/sets.sh

# config_inputs FILE: --input FILE, and the same for the configuration files that it names.
config_inputs() {
  local key name
  printf -- '--input\n%s\n' "$1"
  while read -r key name; do
    case "$key" in
      base) config_inputs "$(dirname "$1")/$name.yaml" ;;
      input) config_inputs "conf/inputs/$name.yaml" ;;
      objective) config_inputs "conf/objectives/$name.yaml" ;;
      features) config_inputs "conf/features/$name.yaml" ;;
      vad) config_inputs "$([ "$vad" = energy ] && echo "conf/features/$name.yaml" || echo "$vad_config")" ;;
    esac
  done < <(sed -n 's/^\(base\|input\|objective\|features\|vad\): *\([A-Za-z0-9_]*\).*/\1 \2/p' "$1")
}

# queue_extraction MODEL SET LEVELS TITLE
queue_extraction() {
  local folder="$1/embeddings/$2" network=student outputs inputs seconds pieces=()
  if [ "$1" = "$teacher_dir" ]; then network=teacher; fi
  mapfile -t outputs < <(listed --scp "$folder/levels" .scp)
  # In the same pass, those of shorter pieces to test with.
  if [ "$2" = eval ] && [ -n "$durations" ]; then
    pieces=(--durations "$durations")
    for seconds in $durations; do
      mapfile -t -O "${#outputs[@]}" outputs < <(listed --scp "${folder}_${seconds}s/levels" .scp)
    done
  fi
  mapfile -t inputs < <(set_inputs "$network" "$2")
  queue "$folder/.done" "$4" "${outputs[@]}" \
    --input "$1/.done" "${inputs[@]}" --input conf/extraction.yaml -- \
    python3 pyscripts/extract_embeddings.py --config conf/extraction.yaml --model "$1" --levels "$3" \
    "${pieces[@]}" "$data/$2" "$folder"
}

# listed OPTION FILE [SUFFIX]: --output FILE, and OPTION for each name, with SUFFIX, that stands in it.
listed() {
  local name folder
  folder="$(dirname "$2")"
  printf -- '--output\n%s\n' "$2"
  if [ ! -f "$2" ]; then return 0; fi
  while read -r name; do printf -- '%s\n%s\n' "$1" "$folder/$name${3:-}"; done <"$2"
}

# lock FOLDER: no other run works in it until this shell has ended. The stages of run.sh have its lock.
lock() {
  local file="$1/.lock" descriptor
  if [[ "${XVKD_LOCKED:-}" == *"|$PWD/$1|"* ]]; then return 0; fi
  if ! mkdir -p "$1" || ! { exec {descriptor}>>"$file"; }; then
    die "$1: cannot be written; make it writable, or name another folder with --data-root, --exp-root or --apply-to"
  fi
  python3 -I local/lock.py "$descriptor" "$file" "$$" || exit 1
  export XVKD_LOCKED="${XVKD_LOCKED:-}|$PWD/$1|"
}
if ! "$dry_run"; then
  lock "$exp"
  # From stage 4 on, the data are only read: several experiments can share them.
  _name="$(basename "$0")"
  if [[ "$_name" =~ ^stage_0[4-9]|^stage_1 ]] || ((stage > 3)); then :; else lock "$data"; fi
fi

# shellcheck source=local/steps.sh
. local/steps.sh
