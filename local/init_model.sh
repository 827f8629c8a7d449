# shellcheck shell=bash disable=SC2034,SC2154
# What --init-model means for a stage that trains.
#   init_model_for ROLE FOLDER   for the teacher or student that is trained in FOLDER: sets the arrays init_inputs
#                                (--input FILE) and init_options; both empty if MODEL is of the other role
init_model_for() {
  local role="$1" folder="${init_model%/checkpoints/*.pt}" is
  init_inputs=() init_options=()
  if [ -z "$init_model" ]; then return 0; fi
  [ -e "$init_model" ] || die "--init-model $init_model: no such model; name a model's folder, or its checkpoints/last.pt"
  is="$([ ! -f "$folder/config.yaml" ] || sed -n 's/^role: *//p' "$folder/config.yaml")"
  # A model that has not been trained to its end has its name alone.
  [ -n "$is" ] || is="$(basename "$folder" | sed -n 's/^\(teacher\|student\)_.*/\1/p')"
  [ -n "$is" ] || die "--init-model $init_model: neither a config.yaml in $folder nor the name of that folder (teacher_..., student_...) says whether it is a teacher or a student"
  if [ "$is" != "$role" ]; then return 0; fi
  if [ "$(realpath -m "$folder")" = "$(realpath -m "$2")" ]; then
    die "--init-model $init_model: is the model that is to be trained; copy it to another place first, train with another --seed, or leave it out of --students"
  fi
  init_options=(--init-model "$init_model")
  if [ -d "$init_model" ]; then folder="$init_model/model.safetensors"; else folder="$init_model"; fi
  if [ -f "$folder" ]; then init_inputs=(--input "$folder"); fi
}
