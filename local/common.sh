# shellcheck shell=bash disable=SC2034
# What run.sh and every stage share; sourced with the command line's arguments from any folder. Afterwards
# the options are variables, the environment is set, and the current folder is the root of the project.
called_from="$PWD"
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

log() { printf '%s %s\n' "$(date '+%H:%M:%S')" "$*" >&2; }
die() { printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# The comments beside the options are their documentation: --help prints them.
usage() {
  sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
  printf '\noptions, with their defaults (those of the preset %s last):\n' "$preset"
  sed -n 's/^\([a-z_]*\)=\("[^"]*"\|[^ ]*\) *# \(.*\)/\1|\2|\3/p' local/options.sh "conf/presets/$preset.sh" \
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
  || die "--preset '$preset': no such preset (there are: $(cd conf/presets && printf '%s ' *.sh | sed 's/\.sh//g'))"
# shellcheck source=conf/presets/mini.sh
. "conf/presets/$preset.sh"
arguments=("$@")
allowed_options="$(sed -n 's/^\([a-z_]*\)=.*/\1/p' local/options.sh "conf/presets/$preset.sh")"
# shellcheck source=local/parse_options.sh
. local/parse_options.sh
set -- "${arguments[@]}"
if "$help"; then usage; exit 0; fi

for _name in stage stop_stage seed nj; do
  [[ "${!_name}" =~ ^[0-9]+$ ]] || die "--${_name//_/-} '${!_name}': expected a whole number of at least 0"
done
for _name in corpus teacher student; do
  case "$_name" in corpus) _kind=corpora ;; *) _kind="${_name}s" ;; esac
  [[ "${!_name}" =~ ^[A-Za-z0-9_]+$ && -f "conf/$_kind/${!_name}.yaml" ]] \
    || die "--$_name '${!_name}': no such file as conf/$_kind/${!_name}.yaml (there are: $(cd "conf/$_kind" && printf '%s ' *.yaml | sed 's/\.yaml//g'))"
done
for _name in $losses; do
  [ -f "conf/losses/$_name.yaml" ] \
    || die "--losses '$_name': no such file as conf/losses/$_name.yaml (there are: $(cd conf/losses && printf '%s ' *.yaml | sed 's/\.yaml//g'))"
done
for _name in audio data_root exp_root; do
  # Folders on the command line are meant from where the user stands.
  if [ -n "${!_name}" ] && [[ "${!_name}" != /* ]] && [ "$called_from" != "$PWD" ]; then
    printf -v "$_name" '%s' "$called_from/${!_name}"
  fi
done
# nproc heeds OMP_NUM_THREADS, which a calling script may have set for its jobs.
cores="$(env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"
[ "$nj" -gt 0 ] || nj="$cores"
unset _name _kind _i _j

# shellcheck source=path.sh
. ./path.sh
# shellcheck source=cmd.sh
. ./cmd.sh

# The tree: see the README's map.
data="$data_root/$corpus"
exp="$exp_root/$corpus"
teacher_dir="$exp/teacher_${teacher}_s$seed"
# "a=1 b=2" -> --set a=1 --set b=2
overrides() { local word; for word in $1; do printf -- '--set\n%s\n' "$word"; done; }
mapfile -t corpus_overrides < <(overrides "$corpus_set")
mapfile -t teacher_overrides < <(overrides "$teacher_set")
mapfile -t student_overrides < <(overrides "$student_set")

# The folder of the student of a set of levels and a loss.
student_dir() { printf '%s/student_%s_%s_%s_%s_s%s' "$exp" "$student" "$teacher" "$1" "$2" "$seed"; }

# "levels loss" of every student that is asked for, a line each.
student_list() {
  local levels loss
  for levels in $students; do
    if [ "$levels" = label ]; then
      echo "label softmax"
    else
      for loss in $losses; do echo "$levels $loss"; done
    fi
  done
}

# Folder, level and title, with tabs between, of everything that is scored: each level of the teacher, each
# student.
systems() {
  local level levels loss
  for level in $(cat "$teacher_dir/embeddings/train/levels" 2>/dev/null || true); do
    printf '%s\t%s\t%s\n' "$teacher_dir" "$level" "teacher, $level"
  done
  while read -r levels loss; do
    printf '%s\t%s\t%s\n' "$(student_dir "$levels" "$loss")" embedding "student of $levels, $loss"
  done < <(student_list)
}

# queue_extraction MODEL SET LEVELS TITLE
queue_extraction() {
  queue "$1/embeddings/$2/.done" "$4" \
    --input "$1/.done" --input "$data/$2/.done" --input conf/extraction.yaml -- \
    python3 pyscripts/extract_embeddings.py --config conf/extraction.yaml --model "$1" --levels "$3" \
    "$data/$2" "$1/embeddings/$2"
}

# The sets of the corpus, train first.
data_sets() {
  local path
  for path in "$data/train" "$data"/*/; do
    if [ -f "$path/utt2spk" ]; then basename "$path"; fi
  done | awk '!seen[$0]++'
}

# shellcheck source=local/steps.sh
. local/steps.sh
