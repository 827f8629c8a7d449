# shellcheck shell=bash disable=SC2034
# The options of run.sh and of every stage, with their defaults. A preset (conf/presets/*.sh) sets those that
# stand there; the command line overrides both.
stage=0                # first stage to run
stop_stage=11          # last stage to run
skip_stages=""         # stages to leave out, such as "2 11"
preset=mini            # conf/presets/<preset>.sh (docs/presets.md)
needs=""               # options that a preset cannot do without, such as "musan rirs"; "": none
audio=""               # recordings, <speaker>/.../<file> (--corpus folder)
cuts=""                # a Lhotse CutSet, or a folder of recordings and supervisions (--corpus cuts)
train_dir=""           # a Kaldi data directory, or Lhotse manifests, to train on (--corpus kaldi)
dev_dir=""             # the same, to choose and calibrate on
eval_dir=""            # the same, to test on
voxceleb1_root=""      # VoxCeleb1, as it was unpacked (--corpus voxceleb; docs/corpora.md)
voxceleb2_root=""      # VoxCeleb2; either one, or both
trials_root=""         # the folder of VoxCeleb's trial lists; "": that of VoxCeleb1
corpus_root=""         # where mini_librispeech, librispeech, libritts, vctk or cn_celeb is; "": data/downloads/<corpus>
download=false         # fetch it there first, as far as it is not there (docs/corpora.md)
trials=""              # trials of --eval-dir, as Kaldi, VoxCeleb or WeSpeaker write them
enrol=""               # models of --trials, "model utterance..." lines
max_bad_utts=0         # utterances that cannot be read, or have no voice, are left out, so many at most
corpus_set=""          # values that replace those of the corpus's YAML, such as "options.seed=1"
teacher_embeddings=""  # a teacher's embeddings from elsewhere, <set>/<level>.scp, in place of a trained one
teacher_nnet3=""       # an x-vector network of Kaldi's (final.raw) that is the teacher, in place of a trained one
teacher_onnx=""        # any network in an ONNX file that is the teacher (docs/onnx_teacher.md)
levels=""              # with --teacher-onnx: its levels and where they are, LEVEL=NODE,LEVEL=NODE
teacher_input=""       # what the network of --teacher-onnx or --teacher-nnet3 reads, conf/inputs/<name>.yaml
distill_data=""        # data directories, manifests or folders of recordings without labels to distil on as well: "DIR DIR" (docs/distillation.md)
teacher_set=""         # values that replace those of the teacher's YAML, such as "training.epochs=20"
student_set=""         # values that replace those of the student's YAML
backend_set=""         # values that replace those of conf/backend.yaml: "lda_dim=150 scorings=[cosine,plda]"
evaluation_set=""      # values that replace those of conf/evaluation.yaml, such as "primary_scoring=cosine"
reading=random         # how training reads: random, or shards, for corpora that do not fit memory (docs/scale.md)
init_model=""          # weights to start from: the folder or a checkpoint of a teacher (stage 4) or a student (stage 6)
apply=""               # a finished model's folder, to apply to --eval-dir in place of all stages (docs/apply.md)
level=""               # with --apply: the level; without: a student's output, the teacher's best level on dev
apply_to=""            # with --apply: where to; without: <model>/applied/<name of --eval-dir>
augmentation=copies    # how what networks are trained on is degraded, conf/augmentation/<name>.yaml; none (docs/augmentation.md)
speed_factors=""       # train on copies at other speeds too, as further speakers: "0.9 1.1"
backend_copies=true    # LDA and PLDA learn from the degraded copies of train too; false: from train alone
noisy_sets="eval"      # sets that get a noisy twin, <set>_noisy, to test on as well; "": none
durations="1 2 4"      # the list eval is also scored with so many seconds of each test utterance; "": not
musan=""               # the folder of MUSAN, for augmentation in place of synthesised noise, music and babble
noise_set=""           # values that replace those of conf/noise.yaml, such as "vocals=true"
rirs=""                # the folder RIRS_NOISES, in place of drawn rooms
vad=energy             # voice activity: energy, or hmm, conf/features/vad_hmm.yaml (docs/vad.md)
vad_backend=viterbi    # who decodes the HMM: viterbi or k2, with the same result
vad_posteriors=false   # keep the HMM's probability of speech in each frame, <set>/vad_hmm_posteriors.scp
export=best            # students that stage 11 exports, in the words of --students; best: the one that is best on dev; all; "": none (docs/deployment.md)
allow_pipes=false      # commands in wav.scp and in other scripts of a data directory may be run
seed=0                 # of training
ngpu=0                 # GPUs that a training uses on each machine (docs/cluster.md); 0: as cmd.sh says, one or none
nproc=0                # processes of a training on each machine without GPUs
nnodes=1               # machines that a training uses
nj=0                   # parallel jobs; 0: as many as there are cores
data_root=data         # data/<corpus>/<set>
exp_root=exp           # exp/<corpus>/<model>
force=false            # do again what is up to date, in the stages that are run
dry_run=false          # print what would run
help=false             # print this
