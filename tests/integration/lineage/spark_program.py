"""A Spark program as a data engineer writes it, with OpenLineage's listener switched on.

Run as a program of its own, because a process has one Spark at most: `spark_program.py SERVER_URL CATALOG_URL FOLDER`.
"""

import sys
from pathlib import Path

from tests.servers.spark import SHORT_LIVED, add_catalog, rest_catalog_settings, spark_session

SALES = "CREATE TABLE lake.silver.sales (customer STRING, amount DECIMAL(10, 2)) USING iceberg"
CUSTOMERS = "CREATE TABLE lake.gold.customers (customer STRING, revenue DECIMAL(20, 2)) USING iceberg"
REFRESH = "INSERT INTO lake.gold.customers SELECT customer, sum(amount) FROM lake.silver.sales GROUP BY customer"


def main(server_url: str, catalog_url: str, folder: str) -> None:
    listener = {
        **SHORT_LIVED,
        "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
        "spark.openlineage.transport.type": "http",
        "spark.openlineage.transport.url": server_url,
        "spark.openlineage.transport.endpoint": "/api/v1/lineage",
        "spark.openlineage.transport.compression": "gzip",
        "spark.openlineage.namespace": "spark-tests",
    }
    with spark_session(Path(folder), listener) as spark:
        add_catalog(spark, "lake", rest_catalog_settings(catalog_url))
        for statement in (
            "CREATE NAMESPACE lake.silver",
            "CREATE NAMESPACE lake.gold",
            SALES,
            CUSTOMERS,
            "INSERT INTO lake.silver.sales VALUES ('a', 1.00), ('b', 2.00)",
            "INSERT INTO lake.silver.sales VALUES ('a', 3.00)",
            REFRESH,
            # After the run that is asked about: its lineage must not follow the table's head.
            "INSERT INTO lake.silver.sales VALUES ('c', 4.00)",
        ):
            spark.sql(statement)


if __name__ == "__main__":
    main(*sys.argv[1:])
