#!/usr/bin/env bash
# What an experiment of VoxCeleb's size costs, stage by stage: time, memory and disk, on a stand-in that this makes.
#
# usage: benchmarks/scale.sh [--scale S] [--frames F] [--table] FOLDER
#
#   --scale S    the stand-in's size, as a share of 1.3 million utterances of 7,300 speakers (default 0.1: 5 GB of disk)
#   --frames F   of that, the share with which steps are run that compute on frames (default 0.1)
#   --table      only prints the table of what FOLDER/figures.jsonl has
#
# The stand-in is removed from FOLDER at the end, figures.jsonl stays. benchmarks/scale.py says what is run and how.
set -euo pipefail
cd_from="$PWD"
cd "$(dirname "$0")/.."
if [ $# -eq 0 ] || [ "${1:-}" = --help ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' benchmarks/scale.sh
  exit "$([ "${1:-}" = --help ] && echo 0 || echo 1)"
fi

# shellcheck source=path.sh
. ./path.sh
folder="$(cd "$cd_from" && realpath -m "${!#}")"
exec python3 benchmarks/scale.py "${@:1:$#-1}" "$folder"
