"""Tables of Iceberg's format version 3 for tests, which pyiceberg reads but cannot write."""

import json
from uuid import uuid4

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table


def upgrade_to_v3(catalog: Catalog, table: Table) -> Table:
    """Return the same table (uuid, snapshots, refs, data) as one of format version 3, registered under its name.

    Its metadata is what an upgrade of a version 2 table leaves (Iceberg's spec, "Row Lineage"): `next-row-id` is 0 and
    no snapshot has row ids. It has no deletion vectors; only Spark writes those.

    Raises:
        ValueError: the table is not of format version 2.
    """
    if table.metadata.format_version != 2:
        raise ValueError(f"{table.name()} is of format version {table.metadata.format_version}, not 2")
    with table.io.new_input(table.metadata_location).open() as current:
        metadata = json.loads(current.read())
    metadata |= {"format-version": 3, "next-row-id": 0}
    # The name continues pyiceberg's numbering, by which both it and Spark name the next one.
    number = int(table.metadata_location.rsplit("/", 1)[1].split("-", 1)[0]) + 1
    location = f"{table.location()}/metadata/{number:05}-{uuid4()}.metadata.json"
    with table.io.new_output(location).create() as upgraded:
        upgraded.write(json.dumps(metadata).encode())
    # Past the commit, which pyiceberg refuses: a table is what its catalog's pointer points to.
    catalog.drop_table(table.name())
    return catalog.register_table(table.name(), location)
