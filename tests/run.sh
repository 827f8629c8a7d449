#!/usr/bin/env bash
# Makes the environment of the tests and runs them: ruff, shellcheck, then pytest.
#
# usage: tests/run.sh [--all] [pytest options]      for instance tests/run.sh -k plda, or -n 0: one after the other
#   --all   also what takes long (marked slow): the recipe killed at random moments, and the like; and, without pytest
#           options, tests/run_slurm.sh
set -euo pipefail
if [ "${1:-}" = --help ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
  exit 0
fi
lane=(-m "not slow and not slurm") all=false
if [ "${1:-}" = --all ]; then lane=(-m "not slurm") all=true; shift; fi
unset CDPATH
cd "$(dirname "$0")/.."
local/make_environment.sh --dev
# shellcheck source=path.sh
. ./path.sh

ruff check .
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
# Tests run side by side, each with one thread; those of a file in one process, since they share what they prepare; and
# files in the order of conftest.py.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python3 -m pytest -n auto --dist loadfile --no-loadscope-reorder "${lane[@]}" "$@"
if "$all" && [ $# -eq 0 ]; then tests/run_slurm.sh; fi
