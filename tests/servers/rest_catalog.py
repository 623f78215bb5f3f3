"""An Iceberg REST catalog for tests, the reference implementation over SQLite; needs Java and `make servers`."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import ready_process

_HOME = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "iceberg-rest"


def find_missing() -> str | None:
    """Return what this machine lacks to start the catalog, in plain words, or None when nothing is missing."""
    if shutil.which("java") is None:
        return "Java is not installed: the Iceberg REST catalog needs Java 17"
    if not (_HOME / "target" / "built").exists():
        return "the Iceberg REST catalog is not built: run `make servers`"
    return None


def over_s3(store: Mapping[str, str]) -> dict[str, str]:
    """The server's own properties for a warehouse in an S3 store that clients reach by these."""
    return {
        "s3.endpoint": store["s3.endpoint"],
        "s3.access-key-id": store["s3.access-key-id"],
        "s3.secret-access-key": store["s3.secret-access-key"],
        "s3.path-style-access": "true",
        "client.region": store["s3.region"],
    }


@contextmanager
def rest_catalog(
    tmp: Path, *, warehouse: str | None = None, properties: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield the URL of a REST catalog that keeps its pointers and, by default, its warehouse in the folder `tmp`.

    A second start on the same folder finds the same tables. `warehouse` may be `s3://…`; `properties` are Iceberg
    catalog properties of the server (`over_s3`). Clients of an S3 warehouse need their own as well.

    Raises:
        RuntimeError: it is not built, or did not start.
    """
    if missing := find_missing():
        raise RuntimeError(missing)
    target = _HOME / "target"
    command = [
        "java",
        # A small and quick JVM: the tests send it metadata only.
        *("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-cp", f"{target / 'classes'}:{target / 'lib'}/*", "dev.stratigraph.rest.RestCatalogServer"),
        *("0", str(tmp / "rest-catalog.db"), warehouse or f"file://{tmp / 'rest-warehouse'}"),
        "--exit-with-stdin",
        *(f"{key}={value}" for key, value in (properties or {}).items()),
    ]
    with ready_process(command, log=tmp / "rest-catalog.log") as url:
        yield url
