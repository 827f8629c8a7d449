# shellcheck shell=bash disable=SC2034
# Where jobs run: the only file that chooses. Each variable below is a launcher with its options, in Kaldi's
# calling convention (Kaldi's own run.pl, slurm.pl or queue.pl can be named instead; docs/cluster.md):
#   $cmd [--mem 4G] [--gpu 1] [--num-threads 2] [--time 4:00:00] [--max-jobs-run 8] JOB=1:$nj log/name.JOB.log command --part JOB/$nj
cmd_backend="${cmd_backend:-local}"         # local: this machine; slurm: a cluster, as conf/slurm.conf has it

case "$cmd_backend" in
  local) launcher="local/launch/run_local" ;;
  slurm) launcher="local/launch/run_slurm --config ${slurm_config:-conf/slurm.conf}" ;;
  *) die "cmd_backend '$cmd_backend': there are local and slurm (cmd.sh)" ;;
esac

data_cmd="$launcher --mem 1G"               # stages 1 and 3: audio, features, VAD
train_cmd="$launcher --mem 2G --gpu 1"      # stages 4 and 6: networks; --ngpu and --nproc ask for so much a process
meeting_minutes=60                          # how long the machines of a training (--nnodes) wait for each other
extract_cmd="$launcher --mem 2G --gpu 1"    # stages 5 and 7: embeddings
score_cmd="$launcher --mem 1G"              # stages 8 and 9: backends and scores
