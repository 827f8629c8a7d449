#!/usr/bin/env bash
# Stage 11: export. Nothing to do yet.
# usage: local/stage_11_export.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

log "export: nothing to do yet"
