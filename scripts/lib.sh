# Shared by the scripts: paths, pinned versions of external packages, and messages.
# Source it from the project's folder. shellcheck shell=bash

VENV=.venv
NODE_DIR=$VENV/node     # npm packages: the proxy, axe-core, thebe
CACHE=.cache            # logs of the tools these scripts run
CHP_VERSION=5.3.0
AXE_VERSION=4.14.1
THEBE_VERSION=0.9.3
export CHP_VERSION AXE_VERSION THEBE_VERSION NODE_DIR

PATH=$PWD/$VENV/bin:$PATH
unset PYTHONDONTWRITEBYTECODE # otherwise each worker and each test server would compile everything again

say() { printf 'tmpnb: %s\n' "$*"; }
warn() { say "$*" >&2; }
die() { warn "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }
can_apt() { is_root && have apt-get; }
engine_answers() { have docker && timeout 20 docker version >/dev/null 2>&1; }

# until_engine_answers PID: whether the engine answers within half a minute, while the process lives.
until_engine_answers() {
  for ((tries = 0; tries < 300; tries++)); do
    if engine_answers; then return; fi
    kill -0 "$1" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# quietly NAME COMMAND...: runs it with its output in a log, and shows that only if it fails.
quietly() {
  local log=$CACHE/$1.log
  shift
  mkdir -p "$CACHE"
  "$@" >"$log" 2>&1 && return
  tail -n 15 "$log" >&2
  warn "failed: $* (the whole log: $log)"
  return 1
}

# apt_install PACKAGE...: installs Debian packages; only for root, see can_apt.
apt_install() {
  say "installing with apt-get: $*"
  quietly apt-update apt-get update
  DEBIAN_FRONTEND=noninteractive quietly apt-install apt-get install -y --no-install-recommends "$@"
}

# apt_unpack PACKAGE DIRECTORY: only unpacks a Debian package there. Installing some would start a service.
apt_unpack() {
  say "unpacking the Debian package $1 in $2"
  mkdir -p "$2"
  if can_apt; then quietly apt-update apt-get update; fi
  (
    log=$PWD/$CACHE/unpack-$1.log
    cd "$2"
    { apt-get download "$1" && dpkg-deb --extract "$1"_*.deb . && rm "$1"_*.deb; } >"$log" 2>&1
  )
}

# end_engine PID: stops an engine that scripts/engine has started; does nothing without a pid. Silent.
end_engine() {
  [ -n "$1" ] || return 0
  kill "$1" 2>/dev/null || return 0
  for ((tries = 0; tries < 100; tries++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
}

# hash_of PATH...: one short hash over the names and contents of all files there.
hash_of() {
  find "$@" -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | short_hash
}
short_hash() { sha256sum | cut -c1-16; }
