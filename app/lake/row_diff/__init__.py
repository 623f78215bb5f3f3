"""The difference of two versions in rows: found from manifests, and read only where files differ."""
