#!/usr/bin/env bash
# Stage 2: augmentation. Nothing to do yet.
# usage: local/stage_02_augmentation.sh [options of run.sh]
set -euo pipefail
# shellcheck source=local/common.sh
. "$(dirname "$0")/common.sh"

log "augmentation: nothing to do yet"
