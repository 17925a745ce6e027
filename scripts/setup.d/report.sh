# shellcheck shell=bash
# How the set-up talks: one line for each thing that it does, one line when it cannot go on.

say() { printf 'setup: %s\n' "$*"; }

# fail WHAT: ends the set-up with one line.
fail() {
  printf 'setup: stopped: %s\n' "$*" >&2
  exit 1
}

# quietly NAME COMMAND...: runs the command, keeping its output in a log of that name. Shows the end of the log and
# returns 1 when the command fails.
quietly() {
  local log=$tools/log/$1.log
  shift
  mkdir -p "$tools/log"
  # Without the lock (9): a server that a package starts would hold it for ever.
  if ! "$@" >"$log" 2>&1 </dev/null 9>&-; then
    tail -n 15 "$log" | sed 's/^/    /' >&2
    printf '    (all of it: %s)\n' "$log" >&2
    return 1
  fi
}

# attempt NAME COMMAND...: the same for a command that may fail because another way follows.
attempt() {
  quietly "$@" 2>/dev/null
}

# at_least HAVE WANT: compares dotted version numbers.
at_least() {
  [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# Two set-ups at once would do the same work twice and write over each other.
only_one_setup_at_a_time() {
  # macOS has no flock; there each step still renames what it made into place.
  command -v flock >/dev/null || return 0
  exec 9>"$tools/.lock"
  if ! flock -n 9; then
    say "another set-up is at work; waiting for it"
    flock 9
  fi
}
