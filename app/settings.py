"""The settings of every process, read once from the environment and frozen."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from app.errors import InvalidSettingError

PREFIX = "STRATIGRAPH_"
# Those that may hold a password or a token.
_SECRETS = frozenset({"database_url", "spark_remote"})
_LISTS = frozenset({"production_namespaces", "artifact_roots"})


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # which pydantic would let through
        raise ValueError(f"there is no such user's home: {path}") from error


class Settings(BaseModel):
    """What can be set, with defaults. The environment variable is `STRATIGRAPH_` and the field's name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=Path("~/.stratigraph"),
        validate_default=True,
        description="The one data directory of the embedded parts: Postgres, the warehouse, locks.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    database_url: str | None = Field(
        default=None,
        pattern=r"^postgres(ql)?://",
        repr=False,  # it may hold a password
        description="Postgres to use instead of the embedded one: `postgresql://user:password@host:port/database`.",
    )
    catalog: str | None = Field(
        default=None,
        min_length=1,
        description="Name of a catalog of pyiceberg's own configuration (`.pyiceberg.yaml` or "
        "`PYICEBERG_CATALOG__<NAME>__…`) to use instead of the embedded one.",
    )
    graph_url: str | None = Field(
        default=None,
        pattern=r"^wss?://",
        description="JanusGraph to keep the lineage graph in, instead of Postgres: `ws://host:8182/gremlin`.",
    )
    production_namespaces: tuple[str, ...] = Field(
        default=("gold", "platinum"),
        description="Namespaces whose datasets count as production, separated by commas. The table property "
        "`stratigraph.production` (true or false) decides for one table.",
    )
    artifact_roots: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="URIs or absolute paths below which model artifacts may be, separated by commas: archiving moves "
        "them from and to nowhere else. Not set, `artifacts` in the home directory.",
    )
    rollback_keep_days: int = Field(
        default=90, ge=1, le=36500, description="Days for which the tag that a rollback leaves behind is kept."
    )
    lake_threads: int = Field(
        default=8, ge=1, le=64, description="Threads that talk to the catalog and read files; more requests wait."
    )
    lake_timeout_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="How long a read waits for the catalog or the object store; then `BACKEND_UNAVAILABLE`.",
    )
    metadata_cache_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=0,
        description="Size of the cache of parsed table metadata, counted in bytes of the metadata files.",
    )
    lock_timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="How long a change waits for another change of the same table."
    )
    lease_s: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="After this long unfinished work of a process counts as abandoned, and any other takes it over.",
    )
    operations_at_once: int = Field(
        default=1, ge=1, le=16, description="How many operations (long jobs) one worker runs at once; more wait."
    )
    operations_keep_days: int = Field(
        default=30, ge=1, le=36500, description="Days for which an operation that has ended is kept, with its result."
    )
    read_budget_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Most bytes of decoded rows that one GraphQL `rows` field may hold at once.",
    )
    diff_sync_budget_bytes: int = Field(
        default=2_000_000_000,
        ge=0,
        description="Most bytes that comparing the rows of two versions reads while somebody waits; what is larger is "
        "run as an operation.",
    )
    diff_memory_bytes: int = Field(
        default=384 * 1024 * 1024,
        ge=64 * 1024 * 1024,
        description="Memory that joining the rows of two versions may take; the rest is put on disk, in `tmp` of the "
        "home directory. The rows being read come on top.",
    )
    diff_spark_bytes: int = Field(
        default=100_000_000_000,
        ge=0,
        description="Where `spark_remote` is set, an operation that compares rows and would read more than this lets "
        "Spark do it.",
    )
    spark_remote: str | None = Field(
        default=None,
        pattern=r"^sc://[^\s/]+(/\S*)?$",
        repr=False,  # it may hold a token
        description="Spark Connect, for comparing rows of very large differences and compacting very large tables: "
        "`sc://host:port/;token=…`. Not set, all of it is done here. Needs `stratigraph[spark]`.",
    )
    spark_catalog: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the Iceberg catalog in that Spark that has our tables. Not set, the name of ours: that of "
        "`catalog`, or else `stratigraph`.",
    )
    diffs_at_once: int = Field(
        default=2, ge=1, le=64, description="Comparisons of rows that one process runs at once; more of them wait."
    )
    diff_cache_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="Size of what is kept in Postgres of comparisons of rows, so that each is made once.",
    )
    compaction_memory_bytes: int = Field(
        default=512 * 1024 * 1024,
        ge=64 * 1024 * 1024,
        description="Memory that compaction of a table may take for the rows that it rewrites; what sorting needs more "
        "is put on disk, in `tmp` of the home directory.",
    )
    compaction_engine: str = Field(
        default="auto",
        pattern=r"^(auto|local|spark)$",
        description="What compacts tables: `local`, `spark`, or `auto` for whichever suits each. The table property "
        "`stratigraph.compaction.engine` (local or spark) decides for one table.",
    )
    compaction_spark_bytes: int = Field(
        default=100_000_000_000,
        ge=0,
        description="Where `spark_remote` is set, `auto` lets Spark compact tables of which more than this would be "
        "rewritten.",
    )
    lineage_max_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=1024,
        le=256 * 1024 * 1024,
        description="Largest body of lineage events, decompressed.",
    )
    lineage_wait_s: float = Field(
        default=5.0, gt=0, le=60, description="How long `READ_YOUR_WRITES` waits for the lineage graph to catch up."
    )
    query_max_depth: int = Field(default=15, ge=1, description="Deepest nesting of a GraphQL query.")
    query_max_tokens: int = Field(default=5000, ge=100, description="Longest GraphQL query, in tokens.")
    query_max_aliases: int = Field(default=50, ge=1, description="Most aliases in one GraphQL query.")
    demo_on_serve: bool = Field(
        default=True, description="Whether `serve` builds the sample lake when the embedded catalog is empty."
    )
    worker_on_serve: bool = Field(default=True, description="Whether `serve` starts a worker beside itself.")
    log_level: str = Field(
        default="info",
        pattern=r"^(debug|info|warning|error)$",
        description="Least level that is logged: debug, info, warning or error.",
    )

    @field_validator("compaction_engine")
    @classmethod
    def _has_spark(cls, engine: str, info: ValidationInfo) -> str:
        # Or it would be told by a job at night.
        if engine == "spark" and info.data.get("spark_remote") is None:
            raise ValueError(f"it is spark, and {env_name('spark_remote')} is not set")
        return engine

    @property
    def is_database_embedded(self) -> bool:
        """Whether this process is to start its own Postgres."""
        return self.database_url is None

    @property
    def is_catalog_embedded(self) -> bool:
        """Whether the catalog lives in our Postgres and the warehouse in `home`."""
        return self.catalog is None

    @property
    def allowed_artifact_roots(self) -> tuple[str, ...]:
        """The places below which artifacts may be moved from and to: URIs or absolute paths."""
        return self.artifact_roots or (str(self.home / "artifacts"),)

    @property
    def warehouse(self) -> Path:
        """Folder of the embedded warehouse."""
        return self.home / "warehouse"


def env_name(field: str) -> str:
    """The environment variable that sets a field."""
    return PREFIX + field.upper()


def load_settings(env: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment, `overrides` on top.

    Raises:
        InvalidSettingError: a variable with our prefix that is no setting, or a value that does not fit.
    """
    env = os.environ if env is None else env
    known = {env_name(name): name for name in Settings.model_fields}
    values: dict[str, Any] = {}
    for variable, text in env.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            # Without the prefix, which would make any two of them look alike.
            close = difflib.get_close_matches(variable.removeprefix(PREFIX).lower(), known.values(), n=1)
            hint = f"; did you mean {env_name(close[0])}?" if close else "; see docs/settings.md."
            raise InvalidSettingError(variable, f"there is no such setting{hint}")
        name = known[variable]
        if not text.strip() and name != "production_namespaces":
            # An empty home would be the working directory, an empty host every network.
            raise InvalidSettingError(variable, "it is empty; unset it to have the default.")
        values[name] = _split(text) if name in _LISTS else text
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "?"
        # A URL may hold a password, which must reach no log.
        given = "" if field in _SECRETS else f" (given: {first['input']!r})"
        raise InvalidSettingError(env_name(field), f"{first['msg']}{given}.") from None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
