# shellcheck shell=bash
# The environment of every script; sourced from the root of the project.
# An active environment that has the packages is used as it is, else the project's own .venv, which
# stage 0 makes.
export LC_ALL=C
export PYTHONPATH="$PWD/pyscripts${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1
# Two processes with all threads each are many times slower than one: launchers say otherwise per job.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
if [ -x .venv/bin/python3 ] && [ "${VIRTUAL_ENV:-}" != "$PWD/.venv" ] \
  && ! python3 local/check_environment.py requirements-min.txt >/dev/null 2>&1; then
  export VIRTUAL_ENV="$PWD/.venv"
  export PATH="$PWD/.venv/bin:$PATH"
fi
