#!/usr/bin/env bash
# Install the optional parts: neural training and serving (torch, onnxruntime) and MLflow; does nothing when all is
# there. The registry's torch brings its GPU libraries along: 3 GB to fetch, 5.4 GB on disk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
key=$(sha256sum requirements/extras.txt | cut -d' ' -f1)
[ "$(cat "$venv/.extras" 2>/dev/null || true)" != "$key" ] || exit 0

started=$SECONDS
uv=$(command -v uv || true)
if [ -n "$uv" ]; then
    install=("$uv" pip install --quiet --python "$venv/bin/python")
else
    install=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
fi
echo "Installing the optional parts into $venv"
"${install[@]}" --require-hashes -r requirements/extras.txt
echo "$key" >"$venv/.extras"
echo "Installed in $((SECONDS - started)) s"
