# shellcheck shell=bash
# Output of the set-up: one line for each step, and one line when it cannot continue.

say() { printf 'setup: %s\n' "$*"; }

# fail MESSAGE: prints the message and exits.
fail() {
  printf 'setup: stopped: %s\n' "$*" >&2
  exit 1
}

# quietly NAME COMMAND...: runs the command with its output in a log file of that name. If the
# command fails, prints the end of the log and returns 1.
quietly() {
  local log=$tools/log/$1.log
  shift
  mkdir -p "$tools/log"
  # Close the lock (9): a server that a package starts would never release it.
  if ! "$@" >"$log" 2>&1 </dev/null 9>&-; then
    tail -n 15 "$log" | sed 's/^/    /' >&2
    printf '    (full log: %s)\n' "$log" >&2
    return 1
  fi
}

# attempt NAME COMMAND...: like `quietly`, for a command that has a fallback.
attempt() {
  quietly "$@" 2>/dev/null
}

# at_least HAVE WANT: compares dotted version numbers.
at_least() {
  [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# Two concurrent set-ups would do the same work twice and overwrite each other's files.
only_one_setup_at_a_time() {
  # macOS has no flock; each step still renames its result into place.
  command -v flock >/dev/null || return 0
  exec 9>"$tools/.lock"
  if ! flock -n 9; then
    say "waiting for another set-up to finish"
    flock 9
  fi
}
