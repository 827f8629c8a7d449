#!/usr/bin/env bash
# Stage 0: the environment. An active one that has the packages is used as it is, else .venv is made.
# usage: local/stage_00_environment.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

run local/make_environment.sh
