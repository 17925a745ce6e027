# shellcheck shell=bash
# Tools that are written in Rust, and wasm-opt. cargo-leptos uses each from PATH if it is there.
# Each version has a separate folder, so that clones of different age do not interfere.

need_cargo_leptos() {
  local version=$cargo_leptos_version
  has_tool cargo-leptos "$version" && return
  # The debug profile: the optimised one takes three times as long to compile, and saves seconds.
  cargo_tool cargo-leptos "$version" cargo-leptos "7 minutes" --locked --debug \
    --config profile.dev.debug=false --config profile.dev.incremental=false
}

need_wasm_bindgen() {
  local version=$wasm_bindgen_version
  [[ -n $version ]] || fail "neither Cargo.lock nor Cargo.toml names a version of wasm-bindgen"
  has_tool wasm-bindgen "$version" && return
  # Not --locked: its lock file names a version that was yanked.
  cargo_tool wasm-bindgen "$version" wasm-bindgen-cli "3 minutes" --config profile.release.opt-level=1
}

need_cargo_deny() {
  local version=$cargo_deny_version
  has_tool cargo-deny "$version" && return
  cargo_tool cargo-deny "$version" cargo-deny "1 minute" --locked --debug \
    --config profile.dev.debug=false --config profile.dev.incremental=false
}

# has_tool NAME VERSION: whether an earlier set-up or the system has installed this version.
has_tool() {
  [[ -x $tools/$1-$2/bin/$1 ]] || [[ $("$1" --version 2>/dev/null) == "$1 $2" ]]
}

# cargo_tool NAME VERSION CRATE DURATION OPTION...: installs a prebuilt binary with cargo-binstall
# if possible, and compiles the tool otherwise.
cargo_tool() {
  local name=$1 version=$2 crate=$3 duration=$4
  shift 4
  local new=$tools/$name-$version.new
  rm -rf "$new"
  if command -v cargo-binstall >/dev/null; then
    say "$name $version: downloading with cargo binstall, about 20 seconds"
    attempt "$name" cargo binstall --no-confirm --disable-strategies compile --version "$version" --root "$new" "$crate" || true
  fi
  if [[ ! -x $new/bin/$name ]]; then
    say "$name $version: compiling, about $duration on two cores"
    # The build folder is kept until the build succeeds, so that the next set-up resumes it.
    quietly "$name" env CARGO_TARGET_DIR="$tools/build/$name-$version" \
      cargo install "$crate" --version "$version" --root "$new" "$@" || fail "$name $version could not be compiled"
  fi
  rm -rf "${tools:?}/$name-$version" "$tools/build/$name-$version"
  mv "$new" "$tools/$name-$version"
}

need_wasm_opt() {
  local folder=$tools/binaryen-$binaryen_version
  [[ -x $folder/node_modules/.bin/wasm-opt ]] && return
  say "wasm-opt ($binaryen_version): installing with npm, about 10 seconds"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  quietly wasm-opt npm install --prefix "$folder.new" --no-save --no-audit --no-fund "binaryen@$binaryen_version" ||
    fail "npm could not install binaryen $binaryen_version"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
}
