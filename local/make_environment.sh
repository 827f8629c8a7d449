#!/usr/bin/env bash
# Makes the project's own Python environment in .venv, unless the active one has the packages.
#
# usage: local/make_environment.sh MINIMUM REQUIREMENTS...
#   MINIMUM        requirements that an active environment must meet to be used as it is
#   REQUIREMENTS   what is installed otherwise, pinned
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --help ] || [ $# -lt 2 ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0" | sed '$d'
  exit "$([ "${1:-}" = --help ] && echo 0 || echo 1)"
fi
minimum="$1"
shift

if python3 local/check_environment.py "$minimum" 2>/dev/null && [ "$(command -v python3)" != "$PWD/.venv/bin/python3" ]; then
  echo "environment: $(command -v python3) has what is needed" >&2
  exit 0
fi
wanted="$(cat "$@")"
if [ -x .venv/bin/python3 ] && [ "$wanted" = "$(cat .venv/installed.txt 2>/dev/null)" ]; then
  echo "environment: up to date: .venv" >&2
  exit 0
fi

python=""
for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  echo "error: no Python 3.10 or newer was found; install one, or activate an environment that has it" >&2
  exit 1
fi
echo "environment: making .venv with $("$python" --version) (a minute or more: PyTorch is large)" >&2
if [ ! -x .venv/bin/pip ] && ! "$python" -m venv .venv; then
  echo "error: '$python -m venv' failed; on Debian and Ubuntu the package python3-venv has it; or activate an" \
    "environment (conda, virtualenv) with what $minimum lists" >&2
  exit 1
fi
quiet=(--quiet)
if [ -t 2 ]; then quiet=(); fi
requirements=()
for file in "$@"; do requirements+=(-r "$file"); done
.venv/bin/python3 -m pip install --disable-pip-version-check "${quiet[@]}" "${requirements[@]}"
printf '%s\n' "$wanted" >.venv/installed.txt
