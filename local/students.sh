# shellcheck shell=bash disable=SC2034,SC2154
# The students of a run, and everything that is scored.

# The folder of the student of a set of levels and a loss, which names the data without labels as well.
student_dir() {
  local more=""
  if [ "$1" != label ] && [ "${#unlabelled_sets[@]}" -gt 0 ]; then
    more="$(printf '+%s' "${unlabelled_sets[@]#distill_}")"
  fi
  printf '%s/student_%s_%s_%s_%s%s_s%s' "$exp" "$student" "$teacher_name" "${1//:/.}" "$2" "$more" "$seed"
}

# student_list [WORDS]: "levels loss" of every student that is asked for, a line each and each once.
student_list() {
  local spec loss
  for spec in ${1-$students}; do
    case "$spec" in
      label) echo "label $(setting_of student objective)" ;;
      *:*)
        # TEACHER:LEVEL+...:LOSS, of which the loss or the teachers may be left out.
        loss="${spec##*:}"
        if [ -f "conf/losses/$loss.yaml" ]; then echo "${spec%:*} $loss"; else listed_losses "$spec"; fi
        ;;
      *) listed_losses "$spec" ;;
    esac
  done | awk '!seen[$0]++'
}
listed_losses() { local loss; for loss in $losses; do echo "$1 $loss"; done; }

# The teachers that a set of levels names, TEACHER:LEVEL+..., each once.
named_teachers() { tr + '\n' <<<"$1" | sed -n 's/:.*//p' | awk '!seen[$0]++'; }
# The folder of a teacher that levels name, NAME, or NAME_sN for that of another training seed.
named_teacher_dir() {
  if [ "$1" = "$teacher_name" ]; then
    echo "$teacher_dir"
  elif [[ "$1" =~ _s[0-9]+$ ]]; then
    echo "$exp/teacher_$1"
  else
    echo "$exp/teacher_$1_s$seed"
  fi
}

# Folder, level and title, with tabs between, of everything that is scored: each level of the teacher, each
# student.
systems() {
  local level levels loss dumped="$teacher_dir/embeddings/train/levels"
  if [ -f "$dumped" ]; then
    while read -r level; do
      # Dumped for students alone, on what these are trained on.
      if [[ "$level" =~ ^stats[0-9]+$ ]]; then continue; fi
      printf '%s\t%s\t%s\n' "$teacher_dir" "$level" "teacher, $level"
    done <"$dumped"
  fi
  while read -r levels loss; do
    printf '%s\t%s\t%s\n' "$(student_dir "$levels" "$loss")" embedding "student of $levels, $loss"
  done < <(student_list)
}

# The losses of the students that are asked for.
distillation_losses() { student_list | sed -n '/^label /!s/.* //p' | sort -u; }

[[ " $students " != *" label:"* ]] || die "--students: a student of labels alone has no distillation loss: write label, not label:..."
for _name in $(student_list | sed -n 's/ .*//; /:/p' | sort -u); do
  for _folder in $(named_teachers "$_name"); do
    [ -d "$(named_teacher_dir "$_folder")" ] || [ "$_folder" = "$teacher_name" ] \
      || die "--students '$_name': no such file as conf/losses/${_name##*:}.yaml (there are: $(choices conf/losses .yaml)), nor is '$_folder' a teacher: no $(named_teacher_dir "$_folder"); ./run.sh --teacher NAME --students LEVEL --stop-stage 5 trains one (NAME_sN: with --seed N)"
  done
done
if [[ "$export" != best && "$export" != all ]]; then
  while read -r _name; do
    grep -qxF -- "$_name" <<<"$(student_list)" \
      || die "--export '$export': no student of $_name in this run; name some of --students, or best, or all"
  done < <(student_list "$export")
fi
mapfile -t _names < <(distillation_losses)
for _name in "${_names[@]}"; do
  [ -f "conf/losses/$_name.yaml" ] \
    || die "loss '$_name': no such file as conf/losses/$_name.yaml (there are: $(choices conf/losses .yaml))"
done
