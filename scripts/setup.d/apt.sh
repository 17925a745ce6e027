# shellcheck shell=bash
# Packages of Debian and its derivatives.

may_apt() { [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; }

is_debian() { [[ -r /etc/os-release ]] && grep -qx 'ID=debian' /etc/os-release; }

# apt_install PACKAGE...: returns 1 if they cannot be installed.
apt_install() {
  # The package lists may be missing, or name files that no longer exist.
  if [[ -z ${apt_updated:-} ]]; then
    quietly apt-update apt-get update || return
    apt_updated=yes
  fi
  quietly "apt-$1" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# need_package WHAT DURATION PACKAGE...: installs the packages as root; otherwise fails with the
# command that installs them.
need_package() {
  local what=$1 duration=$2
  shift 2
  if may_apt; then
    say "$what: installing with apt, about $duration"
    apt_install "$@" || fail "apt could not install $* for $what"
  elif command -v apt-get >/dev/null; then
    fail "$what is missing; run: sudo apt-get install $*"
  else
    fail "$what is missing; install it with your system's package manager (package on Debian: $*)"
  fi
}

# The system programs that every build needs.
need_programs() {
  command -v cc >/dev/null || need_package "a C compiler" "1 minute" build-essential
  need_node "$node_minimum_build"
  if [[ $level == test ]]; then need_node "$node_minimum_test"; fi
}

# need_node MINIMUM
need_node() {
  local have
  if ! { command -v node && command -v npm; } >/dev/null; then
    need_package "Node.js" "1 minute" nodejs npm
  fi
  have=$(node --version)
  at_least "${have#v}" "$1" ||
    fail "Node.js $1 or newer is required, but $(command -v node) is ${have#v}; install a newer one"
}
