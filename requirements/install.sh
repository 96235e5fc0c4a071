#!/usr/bin/env bash
# Make or bring up to date .venv from the hash-pinned requirement files; does nothing when it is already so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/.installed
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "Kindred needs Python 3.11 or newer; set PYTHON=/path/to/python3.11 (found: $("$python" -V 2>&1))." >&2
    exit 1
}

# The editable install records this folder, and the interpreter decides which wheels fit: both belong to the key.
key=$("$python" - requirements/runtime.txt requirements/dev.txt requirements/build.txt pyproject.toml <<'PY'
import hashlib, os, pathlib, sys
parts = [pathlib.Path(name).read_bytes() for name in sys.argv[1:]]
print(hashlib.sha256(b"\0".join([*parts, os.getcwd().encode(), sys.version.encode()])).hexdigest())
PY
)
if [ -x "$venv/bin/kindred" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$key" ]; then
    exit 0
fi

started=$SECONDS
uv=$(command -v uv || true)
if [ -n "$uv" ]; then
    echo "Installing into $venv with uv"
    [ -x "$venv/bin/python" ] || "$uv" venv --quiet --python "$(command -v "$python")" "$venv"
    install=("$uv" pip install --quiet --python "$venv/bin/python")
else
    echo "Installing into $venv with pip (about a minute; with uv on PATH, seconds)"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
    install=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
fi
"${install[@]}" --require-hashes -r requirements/dev.txt -r requirements/build.txt
# The backend came hash-pinned just above, so the package itself builds without fetching anything.
PATH="$PWD/$venv/bin:$PATH" "${install[@]}" --no-deps --no-build-isolation --editable .
echo "$key" >"$stamp"
echo "Installed in $((SECONDS - started)) s"
