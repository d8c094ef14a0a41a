#!/bin/sh
# Sees to it that there is a Chromium for the browser tests, as BIN/chromium where the system has none.
# Ubuntu's package of that name is a snap, which does not run everywhere, so there Playwright's own
# headless build is used.
#
#   tools/browser.sh BIN FOLDER_WITH_PLAYWRIGHT
set -eu
bin=$1
if command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1; then exit 0; fi
if [ -x "$bin/chromium" ]; then exit 0; fi
PLAYWRIGHT_BROWSERS_PATH=$(cd "$bin/.." && pwd)/browsers
export PLAYWRIGHT_BROWSERS_PATH
PATH=$bin:$PATH
cd "$2"
echo "installing Playwright's Chromium into $PLAYWRIGHT_BROWSERS_PATH" >&2
npx playwright-core install --with-deps --only-shell chromium
found=$(find "$PLAYWRIGHT_BROWSERS_PATH" -type f \( -name headless_shell -o -name chrome-headless-shell \) | head -n 1)
if [ -z "$found" ]; then
    echo "Playwright installed no Chromium. Install one, and say where it is:" >&2
    echo "  PX_CHROMIUM=/path/to/chromium make test" >&2
    exit 1
fi
ln -sf "$found" "$bin/chromium"
