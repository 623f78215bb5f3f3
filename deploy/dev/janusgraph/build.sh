#!/bin/sh
# Compiles the launcher of JanusGraph and collects its jars into target/; does nothing when neither pom.xml nor src changed.
set -eu
cd "$(dirname "$0")"

for tool in java javac mvn; do
    command -v "$tool" >/dev/null || {
        echo "deploy/dev/janusgraph: '$tool' not found; install a Java 17 JDK and Maven" >&2
        exit 1
    }
done

# The checksum is written last: a build that was cut short is built again.
wanted=$(cat pom.xml $(find src -type f | LC_ALL=C sort) | cksum)
if [ "$(cat target/built 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
# Not all of it: a running server has its process id, its log and its graph there.
rm -rf target/built target/classes target/lib
mvn -B -q compile
echo "$wanted" > target/built
