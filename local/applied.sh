# shellcheck shell=bash disable=SC2034,SC2154
# The tree of --apply: what stages 1 and 3 do, they do for the new data here, with what the model recorded.
#   <model>/applied/<name of DIR>/{conf,data/eval,embeddings/eval,scores/<level>}
[ -n "$eval_dir" ] || die "--apply $apply: to which data? Give --eval-dir DIR, a Kaldi data directory or a Lhotse manifest"
[ -e "$eval_dir" ] || die "--eval-dir $eval_dir: no such folder or file"
for _name in audio cuts train_dir dev_dir; do
  [ -z "${!_name}" ] || die "--apply takes --eval-dir, --trials and --enrol, not --${_name//_/-}"
done
[ "$vad" = energy ] || die "--apply takes the VAD that the model was trained with, not --vad"
apply_file=model.safetensors
if [ -f "$apply/model.onnx" ]; then apply_file=model.onnx; fi
for _name in config.yaml "$apply_file"; do
  [ -f "$apply/$_name" ] || die "--apply $apply: no finished model ($_name is missing); train it to its end, or name another"
done
exp="${apply_to:-$apply/applied/$(basename "$eval_dir")}"
data="$exp/data"
corpus_config=conf/corpora/kaldi.yaml
expected_sets="eval"
features_config="$exp/conf/features.yaml"
vad_config="$exp/conf/vad.yaml"
vad_name="$(sed -n '/^input:/,/^[^ ]/s/^  vad: //p' "$apply/config.yaml")"
# Two folders of one name must not be taken for each other.
_source="$(realpath -m "$eval_dir")"
if [ -s "$exp/source" ] && [ "$(<"$exp/source")" != "$_source" ]; then
  die "$exp: has what was made of $(<"$exp/source"): name another folder with --apply-to, or remove it"
fi
