#!/usr/bin/env bash
# Makes an environment with k2, .venv_k2, and runs the tests of the HMM VAD in it: both of its backends.
#
# usage: tests/run_k2.sh [pytest options]
#
# It needs Linux on x86-64, Python 3.11 with its shared library, and 4 GB of disk (2 GB to download): PyPI's k2 stands
# on a PyTorch of its time (requirements-k2.txt).
set -euo pipefail
if [ "${1:-}" = --help ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"
  exit 0
fi
unset CDPATH
cd "$(dirname "$0")/.."
python=.venv_k2/bin/python3

# The tests' own packages, in the versions of the other requirements.
wanted="$(grep -hE '^(kaldiio|soundfile|omegaconf|PyYAML|pytest|hypothesis)==' requirements.txt requirements-dev.txt)"
recipe="$(cat requirements-k2.txt)
$wanted"
if [ "$(cat .venv_k2/installed 2>/dev/null)" != "$recipe" ] || ! "$python" -c "" 2>/dev/null; then
  for candidate in python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then break; fi
    candidate=""
  done
  [ -n "$candidate" ] || { echo "run_k2.sh: error: no Python 3.11 was found; PyPI has k2 for no newer one" >&2; exit 1; }
  echo "environment: making .venv_k2 with $("$candidate" --version) (some minutes: 2 GB to download)" >&2
  "$candidate" -m venv --clear .venv_k2
  "$python" -m pip install --disable-pip-version-check --quiet --no-deps --requirement requirements-k2.txt
  { echo "$wanted"; grep -o '^numpy==[0-9.]*' requirements-k2.txt; } >.venv_k2/wanted.txt
  "$python" -m pip install --disable-pip-version-check --quiet --requirement .venv_k2/wanted.txt
  echo "$recipe" >.venv_k2/installed
fi

# A k2 that cannot be imported would skip its tests.
"$python" -c 'import sys, k2, numpy, torch
print(f"Python {sys.version.split()[0]}, k2 {k2.__dev_version__}, torch {torch.__version__}, numpy {numpy.__version__}")'
exec "$python" -m pytest tests/features/test_vad_hmm.py tests/features/test_vad_k2.py tests/commands/test_compute_vad.py "$@"
