#!/usr/bin/env bash
# Installs SLURM where it is not, starts a cluster of two nodes on this machine, and tests the recipe on it.
#
# usage: tests/run_slurm.sh [pytest options]
#
# It needs root, Debian or Ubuntu, and a network or SLURM's packages; where it has not, it says so and returns 0. The
# cluster lives in a temporary folder, beside any other, and ends with the tests.
set -euo pipefail
if [ "${1:-}" = --help ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
  exit 0
fi
unset CDPATH
cd "$(dirname "$0")/.."

skip() { echo "run_slurm.sh: skipped: $*" >&2; exit 0; }
installed() {
  local program
  for program in slurmctld slurmd munged sbatch squeue scancel; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || return 1
  done
}

[ "$(id -u)" = 0 ] || skip "SLURM's daemons want root here"
if ! installed; then
  command -v apt-get >/dev/null || skip "SLURM is not installed, and there is no apt-get to install it with"
  packages=(slurmctld slurmd slurm-client munge libfaketime)
  echo "run_slurm.sh: installing ${packages[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -qq --yes --no-install-recommends "${packages[@]}"; } >&2; then
    skip "SLURM could not be installed (no network?)"
  fi
  installed || skip "the packages ${packages[*]} lack one of SLURM's programs"
fi

local/make_environment.sh --dev
# shellcheck source=path.sh
. ./path.sh
exec python3 -m pytest -m slurm tests/slurm "$@"
