# shellcheck shell=bash disable=SC2034
# The options of run.sh and of every stage, with their defaults. A preset (conf/presets/*.sh) sets those that
# stand there; the command line overrides both.
stage=0                # first stage to run
stop_stage=11          # last stage to run
skip_stages=""         # stages to leave out, such as "2 11"
preset=mini            # conf/presets/<preset>.sh
audio=""               # recordings, <speaker>/.../<file>, for --corpus folder
corpus_set=""          # values that replace those of the corpus's YAML, such as "options.seed=1"
teacher_set=""         # values that replace those of the teacher's YAML, such as "training.epochs=20"
student_set=""         # values that replace those of the student's YAML
seed=0                 # of training
nj=0                   # parallel jobs; 0: as many as there are cores
data_root=data         # data/<corpus>/<set>
exp_root=exp           # exp/<corpus>/<model>
force=false            # do again what is up to date, in the stages that are run
dry_run=false          # print what would run
help=false             # print this
