#!/usr/bin/env bash
# Installs the load generator (open loop, corrected for coordinated omission) below .cache/tools, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=1.16.0
if ! .cache/tools/bin/oha --version 2> /dev/null | grep -q "$version"; then
  command -v cargo > /dev/null || { echo "the load generator oha needs cargo (Rust) to be installed" >&2; exit 1; }
  cargo install oha --version "$version" --locked --quiet --root .cache/tools
fi
