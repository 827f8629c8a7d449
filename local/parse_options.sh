# shellcheck shell=bash disable=SC2034
# Parses "--name value", "--name=value" and, for options that are true or false, "--name" alone into the
# variable "name" (hyphens become underscores), which must be set already and stand in $allowed_options.
# Sourced with the arguments; lists the names that it met in $given_options.
given_options=""
while [ $# -gt 0 ]; do
  case "$1" in
    --*) ;;
    *) die "'$1': expected an option such as --stage 3 (see --help)" ;;
  esac
  _option="${1%%=*}"
  _name="${_option#--}"
  _name="${_name//-/_}"
  # shellcheck disable=SC2154
  if [[ ! "$_name" =~ ^[a-z0-9_]+$ ]] || ! grep -qx "$_name" <<<"$allowed_options"; then
    die "$_option: unknown option (see --help)"
  fi
  if [ "$1" != "$_option" ]; then
    _value="${1#*=}"
    shift
  elif [[ "${!_name}" =~ ^(true|false)$ ]] && [[ $# -lt 2 || "$2" == --* ]]; then
    _value=true
    shift
  else
    [[ $# -ge 2 && "$2" != --* ]] || die "$_option: its value is missing (see --help)"
    _value="$2"
    shift 2
  fi
  if [[ "${!_name}" =~ ^(true|false)$ ]]; then
    [[ "$_value" =~ ^(true|false)$ ]] || die "$_option $_value: expected true or false"
  fi
  printf -v "$_name" '%s' "$_value"
  given_options+=" $_name"
done
unset _option _name _value
