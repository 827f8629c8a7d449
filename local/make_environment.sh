#!/usr/bin/env bash
# Makes the project's own Python environment in .venv, unless the active one has the packages.
#
# usage: local/make_environment.sh [--dev]
#   --dev   with what tests and linters need
#
# requirements-min.txt says when an active environment is used as it is; requirements.txt (and, with --dev,
# requirements-dev.txt) what is installed otherwise.
set -euo pipefail
minimum=(requirements-min.txt) pinned=(requirements.txt)
case "$*" in
  "") ;;
  --dev) minimum+=(requirements-dev.txt) pinned+=(requirements-dev.txt) ;;
  --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  *) echo "make_environment.sh: error: '$*': unknown option (see --help)" >&2; exit 1 ;;
esac
unset CDPATH
cd "$(dirname "$0")/.."

if [ "$(command -v python3)" != "$PWD/.venv/bin/python3" ] \
  && python3 local/check_environment.py "${minimum[@]}" 2>/dev/null; then
  echo "environment: $(command -v python3) has what is needed" >&2
  exit 0
fi
# .venv/installed keeps a copy of what was installed, file by file.
missing=()
for file in "${pinned[@]}"; do
  cmp -s "$file" ".venv/installed/$file" || missing+=("$file")
done
if [ "${#missing[@]}" -eq 0 ] && .venv/bin/python3 -c "" 2>/dev/null; then
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
# --clear: it may be there but stand on a Python that is not there any more.
if ! .venv/bin/python3 -m pip --version >/dev/null 2>&1 && ! "$python" -m venv --clear .venv; then
  echo "error: '$python -m venv' failed; on Debian and Ubuntu the package python3-venv has it; or activate an" \
    "environment (conda, virtualenv) with what requirements-min.txt lists" >&2
  exit 1
fi
quiet=(--quiet)
if [ -t 2 ]; then quiet=(); fi
.venv/bin/python3 -m pip install --disable-pip-version-check "${quiet[@]}" "${pinned[@]/#/--requirement=}"
mkdir -p .venv/installed
cp "${pinned[@]}" .venv/installed
