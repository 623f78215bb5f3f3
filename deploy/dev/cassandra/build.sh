#!/bin/sh
# Collects Cassandra's jars into target/lib; does nothing when pom.xml did not change.
set -eu
cd "$(dirname "$0")"

for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        echo "deploy/dev/cassandra: '$tool' not found; install Java 17 and Maven" >&2
        exit 1
    }
done

# The checksum is written last: a build that was cut short is built again.
wanted=$(cksum < pom.xml)
if [ "$(cat target/built 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
rm -rf target
mvn -B -q dependency:copy-dependencies
echo "$wanted" > target/built
