#!/usr/bin/env bash
# Makes the environment of the tests and runs them: ruff, shellcheck, then pytest.
#
# usage: tests/run.sh [pytest options]      for instance tests/run.sh -k plda
set -euo pipefail
if [ "${1:-}" = --help ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"
  exit 0
fi
unset CDPATH
cd "$(dirname "$0")/.."
local/make_environment.sh --dev
# shellcheck source=path.sh
. ./path.sh

ruff check .
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
exec python3 -m pytest "$@"
