# shellcheck shell=bash
# Requirements of the tests: a database server, real S3 clients, a browser and its driver.

need_postgresql() {
  command -v initdb >/dev/null && return
  if compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then return; fi
  need_package "PostgreSQL (the server's programs)" "1 minute" postgresql
}

need_python_tools() {
  local wanted=$checkout/end2end/requirements.txt folder
  # Named after the pinned versions, as in scripts/env.
  folder=$tools/python-$(cksum <"$wanted" | tr ' ' '-')
  [[ -f $folder/complete ]] && return
  command -v python3 >/dev/null || need_package "Python 3" "1 minute" python3 python3-venv
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_package "Python's venv" "20 seconds" python3-venv
  say "Python tools for tests (awscli, boto3, duckdb, schemathesis, typos …): installing with pip, about 1 minute"
  # A virtual environment cannot be renamed (its scripts contain its path), so a file marks it as
  # complete.
  rm -rf "$folder"
  quietly python-venv python3 -m venv "$folder" || fail "python3 -m venv $folder failed"
  quietly python-tools "$folder/bin/pip" install --disable-pip-version-check --requirement "$wanted" ||
    fail "pip could not install end2end/requirements.txt"
  : >"$folder/complete"
}

need_node_packages() {
  local folder=$checkout/end2end
  # Written after npm succeeded.
  [[ -f $folder/node_modules/.complete && ! $folder/package-lock.json -nt $folder/node_modules/.complete ]] && return
  say "Playwright and axe: installing with npm, about 10 seconds"
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 quietly node-packages npm --prefix "$folder" ci --no-audit --no-fund ||
    fail "npm could not install end2end/package-lock.json"
  : >"$folder/node_modules/.complete"
}

need_chromium() {
  # scripts/env passes it to the tests.
  [[ -x ${CHROMIUM_PATH:-/usr/bin/chromium} ]] && return
  if is_debian && may_apt; then
    need_package "Chromium" "1 minute" chromium
    return
  fi
  local browser
  browser=$(playwright_chromium)
  if [[ ! -x $browser ]]; then
    say "Chromium: downloading with Playwright, about 1 minute"
    attempt chromium npx --prefix "$checkout/end2end" playwright install chromium ||
      fail "Playwright could not download Chromium; run: $(chromium_by_hand)"
  fi
  "$browser" --version >/dev/null 2>&1 ||
    fail "Playwright's Chromium does not start; run: (cd end2end && sudo npx playwright install-deps chromium)"
}

chromium_by_hand() {
  if is_debian; then
    printf 'sudo apt-get install chromium'
  else
    printf '(cd end2end && npx playwright install chromium), or set CHROMIUM_PATH to a Chromium'
  fi
}

playwright_chromium() {
  (cd "$checkout/end2end" && node -p 'require("playwright-core").chromium.executablePath()' 2>/dev/null) || true
}
