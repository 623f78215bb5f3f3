#!/bin/sh
# Fetches the jars for Spark into target/jars; does nothing when pom.xml did not change.
set -eu
cd "$(dirname "$0")"

for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        echo "deploy/dev/spark: '$tool' not found; install Java 17 and Maven" >&2
        exit 1
    }
done

# The checksum is written last: a download that was cut short is made again.
wanted=$(cksum < pom.xml)
if [ "$(cat target/built 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi
rm -rf target
mvn -B -q package
echo "$wanted" > target/built
