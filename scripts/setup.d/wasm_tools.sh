# shellcheck shell=bash
# The tools that turn the Rust of the browser's part into a site. cargo-leptos takes each from PATH when it is there.
# Each version has a folder of its own, so that clones of different age do not disturb each other.

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
  # Not --locked: its lock file names a version that was withdrawn.
  cargo_tool wasm-bindgen "$version" wasm-bindgen-cli "3 minutes" --config profile.release.opt-level=1
}

# has_tool NAME VERSION: installed by an earlier set-up, or the system's own in the same version.
has_tool() {
  [[ -x $tools/$1-$2/bin/$1 ]] || [[ $("$1" --version 2>/dev/null) == "$1 $2" ]]
}

# cargo_tool NAME VERSION CRATE DURATION OPTION...: as a ready binary where cargo-binstall can fetch one, or from source.
cargo_tool() {
  local name=$1 version=$2 crate=$3 duration=$4
  shift 4
  local new=$tools/$name-$version.new
  rm -rf "$new"
  if command -v cargo-binstall >/dev/null; then
    say "$name $version: fetching with cargo binstall, about 20 seconds"
    attempt "$name" cargo binstall --no-confirm --disable-strategies compile --version "$version" --root "$new" "$crate" || true
  fi
  if [[ ! -x $new/bin/$name ]]; then
    say "$name $version: compiling, about $duration on two cores"
    # The build folder stays until it is done, so that an interrupted build goes on where it stopped.
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
