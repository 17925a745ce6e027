# shellcheck shell=bash
# One compiler for the server, the browser's part, the tests and the checks. Three ways, in this order:
#
# 1. the active toolchain is new enough and already has the wasm32-unknown-unknown target;
# 2. rustup adds the target, or a toolchain that has it;
# 3. Debian's own compiler; its packages have the standard library's sources, from which the target is built once.
#
# The choice ("active", "debian" or the name of a rustup toolchain) is kept in $tools/rust-toolchain for scripts/env.

wasm=wasm32-unknown-unknown
debian_linker=/usr/lib/llvm-19/bin/wasm-ld

need_rust() {
  if chosen_rust_works; then return; fi

  local reason
  if active_rust_is_new_enough && has_wasm_library rustc && ! active_rust_is_debians; then
    choose_rust active "the active toolchain, which has $wasm"
  elif active_rust_is_debians && debian_wasm_library_is_current; then
    choose_rust debian "Debian's packages, to which $wasm was added"
  elif rustup_adds_wasm; then
    return
  elif is_debian && may_apt; then
    debian_rust
  elif ! command -v rustc >/dev/null; then
    fail "Rust is missing; install rustup (https://rustup.rs), then repeat"
  else
    reason="Rust $rust_minimum or newer with $wasm is needed"
    if command -v rustup >/dev/null; then
      reason+="; run: rustup toolchain install $rust_fallback --target $wasm"
    else
      reason+="; install rustup (https://rustup.rs), then repeat"
    fi
    if is_debian; then reason+="; or repeat once as root, which installs Debian's compiler"; fi
    fail "$reason"
  fi
}

choose_rust() {
  printf '%s\n' "$1" >"$tools/rust-toolchain.new"
  mv "$tools/rust-toolchain.new" "$tools/rust-toolchain"
  select_rust
  say "compiler: $2: $(rustc --version | cut -d' ' -f1,2)"
}

# Makes this script use the chosen compiler, as scripts/env does for everything else.
select_rust() {
  # shellcheck source=scripts/env
  . "$checkout/scripts/env"
}

chosen_rust_works() {
  [[ -f $tools/rust-toolchain ]] || return
  local given=${RUSTUP_TOOLCHAIN:-}
  select_rust
  chosen_rust_is_complete && return
  # What follows starts from the toolchain that was active before.
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

# rust_version RUSTC...: as in 1.96.0; nothing when it cannot be run.
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
    say "compiler: the active one is older than $rust_minimum; asking rustup for $rust_fallback, about 1 minute"
    attempt rustup rustup toolchain install "$rust_fallback" --profile minimal \
      --component clippy --component rustfmt --target "$wasm" || return
    has_wasm_library rustup run "$rust_fallback" rustc || return
    choose_rust "$rust_fallback" "a toolchain that rustup installed"
  fi
}

debian_rust_works() {
  local debian
  [[ -x $debian_linker ]] || return
  debian=$(/usr/bin/rustc -vV 2>/dev/null) || return
  [[ $(rustc -vV 2>/dev/null) == "$debian" ]] && debian_wasm_library_is_current
}

# Only the compiler that built the target's library can use it, and apt upgrades compilers.
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
  choose_rust debian "Debian's packages, for want of rustup's $wasm"
}

# What the checks need beside the compiler.
need_rust_checks() {
  if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1; then return; fi
  # rustup cannot add components to a compiler that is not its own.
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
