# shellcheck shell=bash
# One compiler for the server, the browser's half, the tests and the checks. Tried in this order:
#
# 1. the active toolchain (of RUSTUP_TOOLCHAIN, or else of rust-toolchain.toml), if it is new enough
#    and has the wasm32-unknown-unknown target;
# 2. rustup adds the target, or installs the toolchain of rust-toolchain.toml;
# 3. rustup's default toolchain, for machines without a network;
# 4. Debian's compiler. Its packages include the sources of the standard library, from which the
#    target is built once.
#
# The choice ("active", "debian" or the name of a rustup toolchain) is written to
# $tools/rust-toolchain, which scripts/env reads.

wasm=wasm32-unknown-unknown
debian_linker=/usr/lib/llvm-19/bin/wasm-ld

need_rust() {
  # Only explicit, reported commands install a toolchain.
  export RUSTUP_AUTO_INSTALL=0
  if chosen_rust_works; then return; fi

  local reason
  if active_rust_is_new_enough && has_wasm_library rustc && ! active_rust_is_debians; then
    choose_rust active "the active toolchain, which has $wasm"
  elif active_rust_is_debians && debian_wasm_library_is_current; then
    choose_rust debian "Debian's packages, to which $wasm was added"
  elif rustup_adds_wasm || rustup_default_works; then
    return
  elif is_debian && may_apt; then
    debian_rust
  elif ! command -v rustc >/dev/null; then
    fail "Rust is missing; install rustup (https://rustup.rs) and run this again"
  else
    reason="Rust $rust_minimum or newer with $wasm is required"
    if command -v rustup >/dev/null; then
      reason+="; run: rustup toolchain install $rust_pinned --target $wasm"
    else
      reason+="; install rustup (https://rustup.rs) and run this again"
    fi
    if is_debian; then reason+="; or run this once as root, which installs Debian's compiler"; fi
    fail "$reason"
  fi
}

choose_rust() {
  printf '%s\n' "$1" >"$tools/rust-toolchain.new"
  mv "$tools/rust-toolchain.new" "$tools/rust-toolchain"
  select_rust
  say "compiler: $2: $(rustc --version | cut -d' ' -f1,2)"
}

# Selects the chosen compiler for the rest of the set-up.
select_rust() {
  # shellcheck source=scripts/env
  . "$checkout/scripts/env"
}

chosen_rust_works() {
  [[ -f $tools/rust-toolchain ]] || return
  local given=${RUSTUP_TOOLCHAIN:-}
  select_rust
  chosen_rust_is_complete && return
  # The search for another one starts from the toolchain that was active before.
  if [[ -n $given ]]; then RUSTUP_TOOLCHAIN=$given; else unset RUSTUP_TOOLCHAIN; fi
  return 1
}

chosen_rust_is_complete() {
  if [[ $(<"$tools/rust-toolchain") == debian ]]; then
    debian_rust_works
  else
    active_rust_is_new_enough && has_wasm_library rustc && ! active_rust_is_debians
  fi
}

# rust_version RUSTC...: prints a version such as 1.96.0, or nothing if the compiler cannot be run.
rust_version() { "$@" --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }

active_rust_is_new_enough() {
  local have
  have=$(rust_version rustc)
  [[ -n $have ]] && command -v cargo >/dev/null && at_least "$have" "$rust_minimum"
}

active_rust_is_debians() { [[ $(rustc --print sysroot 2>/dev/null) == /usr && -x $debian_linker ]]; }

# has_wasm_library RUSTC...
has_wasm_library() {
  local folder
  folder=$("$@" --print target-libdir --target "$wasm" 2>/dev/null) || return
  compgen -G "$folder/libstd-*.rlib" >/dev/null
}

rustup_adds_wasm() {
  command -v rustup >/dev/null || return
  if active_rust_is_new_enough; then
    say "compiler: asking rustup for the target $wasm, about 20 seconds"
    attempt rustup rustup target add "$wasm" || return
    has_wasm_library rustc || return
    choose_rust active "the active toolchain, to which rustup added $wasm"
  else
    say "compiler: the active one is missing or older than $rust_minimum; asking rustup for $rust_pinned, about 1 minute"
    attempt rustup rustup toolchain install "$rust_pinned" --profile minimal \
      --component clippy --component rustfmt --target "$wasm" || return
    has_wasm_library rustup run "$rust_pinned" rustc || return
    choose_rust "$rust_pinned" "a toolchain that rustup installed"
  fi
}

rustup_default_works() {
  local name
  command -v rustup >/dev/null || return
  # Prints `stable-x86_64-unknown-linux-gnu (default)`, or fails if there is no default.
  name=$(rustup default 2>/dev/null) || return
  name=${name%% *}
  at_least "$(rust_version rustup run "$name" rustc)" "$rust_minimum" || return
  has_wasm_library rustup run "$name" rustc || return
  choose_rust "$name" "rustup's default toolchain"
}

debian_rust_works() {
  local debian
  [[ -x $debian_linker ]] || return
  debian=$(/usr/bin/rustc -vV 2>/dev/null) || return
  [[ $(rustc -vV 2>/dev/null) == "$debian" ]] && debian_wasm_library_is_current
}

# The library can be used only by the compiler that built it, and apt upgrades compilers.
debian_wasm_library_is_current() {
  local folder
  folder=$(/usr/bin/rustc --print target-libdir --target "$wasm") || return
  [[ $(cat "$folder/built-by" 2>/dev/null) == "$(/usr/bin/rustc -vV)" ]]
}

debian_rust() {
  local packages=(rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web lld-19)
  if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
    need_package "Debian's Rust" "2 minutes" "${packages[@]}"
  fi
  if command -v rustup >/dev/null; then
    attempt rustup-link rustup toolchain link debian /usr || fail "rustup could not link /usr as toolchain \"debian\""
  fi
  if ! debian_wasm_library_is_current; then
    say "compiler: building $wasm's standard library from Debian's sources, about 1 minute"
    quietly wasm-library "$checkout/scripts/setup.d/wasm-library" "$tools/build/wasm-library" "$debian_linker" ||
      fail "the standard library for $wasm could not be built"
  fi
  choose_rust debian "Debian's packages, because rustup cannot provide $wasm"
}

# The components that the checks need.
need_rust_checks() {
  if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then return; fi
  # rustup cannot add components to a linked toolchain.
  if [[ $(<"$tools/rust-toolchain") == debian ]]; then
    need_package "clippy (with rustfmt)" "1 minute" rust-web-clippy rustfmt-web
    return
  fi
  if command -v rustup >/dev/null; then
    say "clippy and rustfmt: asking rustup for them, about 20 seconds"
    attempt rustup rustup component add clippy rustfmt && return
  fi
  fail "clippy and rustfmt are missing; run: rustup component add clippy rustfmt"
}
