# shellcheck shell=bash disable=SC2034
# Where jobs run: the only file that chooses. Each variable is a launcher with its options, in Kaldi's
# calling convention (Kaldi's own run.pl, slurm.pl or queue.pl can be named instead):
#   $cmd [--mem 4G] [--gpu 1] [--num-threads 2] [--max-jobs-run 8] JOB=1:$nj log/name.JOB.log command --part JOB/$nj
launcher="local/launch/run_local"

data_cmd="$launcher --mem 1G"               # stages 1 and 3: audio, features, VAD
train_cmd="$launcher --mem 2G --gpu 1"      # stages 4 and 6: networks
extract_cmd="$launcher --mem 2G --gpu 1"    # stages 5 and 7: embeddings
score_cmd="$launcher --mem 1G"              # stages 8 and 9: backends and scores
