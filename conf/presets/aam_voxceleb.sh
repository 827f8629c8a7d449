# shellcheck shell=bash disable=SC2034
# VoxCeleb as the field does it today: ECAPA-TDNN, 80 FBANK, additive angular margin, speeds, large-margin fine-tuning,
# cosine with AS-norm. Give --voxceleb2-root, --voxceleb1-root, --musan and --rirs. docs/presets.md
needs="musan rirs"     # options that this preset cannot do without
corpus=voxceleb        # conf/corpora/<corpus>.yaml: trained on the development part of VoxCeleb2
teacher=ecapa512_voxceleb  # conf/teachers/<teacher>.yaml
teacher_set="objective.margin_begins=0.13 objective.margin_whole=0.27"  # values that replace those of the teacher's YAML: the margin grows in epochs 20 to 40 of 150
student=tdnn152        # conf/students/<student>.yaml
student_set="arch.width=204 input=fbank80_wespeaker training.reader_workers=8"  # values that replace those of the student's YAML: 92 % smaller for segment6
students="label frame segment6 frame4+frame+segment6"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="cosine"        # conf/losses/<loss>.yaml, each with each set of levels that names none
augmentation=online    # chunks are degraded while a network is trained, two of three
speed_factors="0.9 1.1"  # train on copies at other speeds too, as further speakers
noisy_sets=""          # sets that get a noisy twin
backend_copies=false   # mean and cohort are of the recordings at their own speed
backend_set="scorings=[cosine,cosine_asnorm,plda] cohort_top=300"  # values that replace those of conf/backend.yaml
evaluation_set="primary_scoring=cosine_asnorm"  # values that replace those of conf/evaluation.yaml
