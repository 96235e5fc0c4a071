#!/usr/bin/env bash
# Resolve pyproject.toml into the hash-pinned requirement files; needs uv on PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v uv >/dev/null || { echo "pinning needs uv on PATH" >&2; exit 1; }
pin=(uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11
     --no-emit-index-url --no-emit-find-links --no-header)
"${pin[@]}" pyproject.toml -o requirements/runtime.txt
"${pin[@]}" pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
"${pin[@]}" pyproject.toml --group engines --extra fleet -c requirements/dev.txt -o requirements/engines.txt
"${pin[@]}" pyproject.toml --extra neural --extra mlflow -c requirements/engines.txt -o requirements/extras.txt
"${pin[@]}" requirements/build.in -c requirements/dev.txt -o requirements/build.txt
