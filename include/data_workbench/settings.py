"""Settings from the environment, one place for all rooms.

Every setting is an environment variable `WORKBENCH_<NAME>`. A `.env` file is never read: what a working
directory happens to hold must not reach a run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from data_workbench.errors import UsageError

# How far each local service sits from WORKBENCH_PORT_BASE. Airflow's usual 8080 is ODRAS's Camunda.
PORT_OFFSETS: Mapping[str, int] = {
    "postgres": 0,
    "neo4j_bolt": 1,
    "neo4j_http": 2,
    "qdrant": 3,
    "airflow": 4,
    "airflow_triggerer_logs": 5,
    "airflow_worker_logs": 6,
    "fuseki": 7,
}


@dataclass(frozen=True)
class Settings:
    """What can be set from outside. Sizes are bytes unless the name says otherwise."""

    home: Path = field(default_factory=lambda: Path.cwd() / ".workbench")
    """Data, logs and staged files of a local installation; ignored by git."""
    cache: str = ""
    """Downloaded jars and models, worth sharing between homes; empty means `<home>/cache`."""
    port_base: int = 17600
    """First of the local stack's ports; see PORT_OFFSETS."""
    metastore: str = "workbench_metastore"
    """Connection id of the metastore's PostgreSQL database."""
    artifacts: str = ""
    """Where staged files go: a folder or an fsspec URL; empty means `<home>/artifacts`."""
    artifact_compression: str = "lz4"
    """Of staged Parquet files, which a local folder of Parquet takes over as they are: `lz4` is quicker to write,
    `zstd` a third smaller."""
    artifact_retention_days: float = 7.0
    """Staged files of finished runs are removed after this long."""
    run_history_days: float = 180.0
    """What is kept of finished runs, their stages and counts, is removed after this long."""
    journal_days: float = 30.0
    """What the journal knows of writes is removed after this long."""
    min_free_disk: int = 2 * 1024**3
    """A run fails early when the artifact store has less room than this."""
    batch_rows: int = 16_384
    """Rows in a batch read from a source. More hold more memory and are no quicker (measured up to 65,536)."""
    batch_bytes: int = 16 * 1024**2
    """A batch is cut earlier when it grows past this."""
    part_rows: int = 65_536
    """Rows in one staged part: what a destination commits at once."""
    duckdb_memory: str = "256MB"
    """DuckDB's memory limit in a transform; beyond it, it spills to disk."""
    comparison_memory: str = "64MB"
    """DuckDB's memory limit where a store is compared with what was staged; beyond it, it spills to disk."""
    duckdb_threads: int = 2
    spark_master: str = "local[2]"
    """Where pipelines with `engine: spark` run that name no master: `local[N]`, `spark://HOST:PORT`, `sc://HOST:PORT`."""
    max_join_rows: int = 100_000_000
    """A join that would make more rows is refused before it makes any."""
    max_definition_bytes: int = 262_144
    """A pipeline file larger than this is refused before it is parsed."""
    file_roots: str = ""
    """Colon-separated folders that `file:` connections may reach; empty means any (outside Airflow)."""
    programs: str = ""
    """Colon-separated taps that may be run and dlt sources that may be imported; empty means any."""
    python_modules: str = ""
    """Colon-separated modules whose functions `python` steps may call, and whose timetables schedules may name, each
    with what is below it; empty means none."""
    hooks: str = ""
    """Comma-separated connections on which pipelines may run hooks; empty means none."""
    pseudonym_secret: str = field(default="", repr=False)
    """The secret of `pseudonymise` steps that name no connection; at least 16 characters."""
    slow_connection_seconds: float = 2.0
    """A connection whose check takes longer than this, at the median of its probes, is degraded."""
    store_wait_hours: float = 6.0
    """Under Airflow a task whose store is away waits for it this long before it fails; 0 fails after the retries."""
    alert_routes: str = ""
    """Comma-separated ids of `workbench_webhook` connections that alerts go to."""
    alert_notifiers: str = ""
    """JSON list of Airflow notifiers that alerts go to: `[{"notifier": "package.Class", "arguments": {…}}]`."""
    alert_rules: str = ""
    """JSON list of who is told of which contract: `[{"owner": …, "dataset": "odras_*", "severity": …, "routes": […]}]`;
    the first that fits; empty means all routes."""
    escalation_hours: float = 24.0
    """A contract that does not hold is told once more after this long, unless somebody has acknowledged it."""
    check_history_days: float = 30.0
    """Checks of connections are kept this long."""
    backups: str = ""
    """Where backup sets are kept: a connection's id, a folder or an fsspec URL; empty means `<home>/backups`."""
    backup_stores: str = ""
    """Comma-separated connections that a set takes in; empty means the three stores, the metastore, Airflow's database,
    and all of files and Fuseki: those that are set."""
    backup_recipients: str = ""
    """Comma-separated public keys that backups are encrypted for; empty means the one of the identity."""
    backup_identity: str = ""
    """File of the age identity that opens backups; empty means `<home>/backup-identity.txt`."""
    archives: str = ""
    """Where archives are kept: a connection's id, a folder or an fsspec URL; empty means `<home>/archives`."""
    archive_policies: Path = field(default_factory=lambda: Path.cwd() / "dags" / "archives")
    """Where the command line looks for policies of archiving; the DAG `archive_expired` has the folder beside it."""
    archive_max_hours: float = 26.0
    """A policy of archiving that was not carried out for this long is overdue, and somebody is told."""
    archive_verify_days: float = 8.0
    """Archives that nobody verified for this long are told."""
    archive_replaced_days: float = 14.0
    """Files of archives that compaction replaced are kept this long, for a database that is brought back to before; 0:
    they go at once."""
    lineage_receiver: str = ""
    """Where OpenLineage events go besides the metastore: a URL without a password, or the id of a `workbench_rest`
    connection; empty: nowhere."""
    lineage_retention_days: float = 0.0
    """Lineage of runs is kept this long, and of each job what still held then; 0: for good."""
    point_in_time: str = ""
    """The connection of the PostgreSQL server whose log is kept, so that it can go back to any moment; empty: none."""
    backup_dump: str = ""
    """The connection of the local stack's Neo4j that a backup may stop, to have `neo4j-admin` dump it; empty: none."""
    backup_lock_days: float = 0.0
    """In a bucket with Object Lock, how long nobody may remove or change what a set needs; 0: not locked."""
    backup_lock_mode: str = "governance"
    """How firm that lock is: `governance` can be lifted by whoever has the right to, `compliance` by nobody."""
    pgbackrest: str = ""
    """The stanza of pgBackRest that keeps that server's base backups and log; empty: the workbench does it itself."""
    pgbackrest_type: str = "incr"
    """What pgBackRest makes for a set: full, diff or incr."""
    backup_rate: int = 0
    """Bytes a second that a backup writes at most; 0 sets no limit."""
    backup_retention: str = ""
    """Which sets are kept, as `last=3,daily=7,weekly=4,monthly=12`, the default; the newest good one always is."""
    backup_max_hours: float = 26.0
    """A newest set older than this is missed, and somebody is told."""
    backup_verify_days: float = 8.0
    """A newest restored set (a drill that passed) older than this is told."""
    log_max_minutes: float = 15.0
    """The kept log of PostgreSQL may lie behind this long before somebody is told."""
    fence_wait_seconds: float = 30.0
    """How long a backup waits for runs under way before it goes on without them having ended."""
    reason: str = ""
    """Why what the command line does is done: goes into the audit trail, such as a ticket's number."""
    audit_key: str = ""
    """File of the Ed25519 key that signs heads of the audit trail, its public half beside it with `.pub`; empty means
    `<home>/audit-key.pem`."""
    audit_heads: str = ""
    """File of the signed heads, to be kept where the database's owner cannot write; empty means
    `<home>/audit-heads.jsonl`."""
    audit_airflow_seconds: float = 60.0
    """How often Airflow's API server takes its event log over into the audit trail; 0: only when asked to."""
    project: Path = field(default_factory=lambda: Path.cwd() / "workbench.yaml")
    """The project file: defaults of connections, without secrets. It need not be there."""
    environment: str = ""
    """The environment of the project file, such as dev or prod, whose connections go before its own."""
    pipelines: Path = field(default_factory=lambda: Path.cwd() / "dags" / "pipelines")
    """Where a pipeline named without a path is looked up."""
    watches: Path = field(default_factory=lambda: Path.cwd() / "dags" / "watches.yaml")
    """The file of streams whose changes are watched. It need not be there."""
    contracts: Path = field(default_factory=lambda: Path.cwd() / "dags" / "contracts")
    """Where the contracts of datasets stand, a file each."""

    @property
    def artifact_url(self) -> str:
        """The artifact store's root."""
        return self.artifacts or str(self.home / "artifacts")

    @property
    def cache_folder(self) -> Path:
        """Where downloads are kept, as an absolute path."""
        return (Path(self.cache) if self.cache else self.home / "cache").absolute()

    @property
    def backup_place(self) -> str:
        """Where backup sets are kept."""
        return self.backups or f"file://{(self.home / 'backups').absolute()}"

    @property
    def archive_place(self) -> str:
        """Where archives are kept."""
        return self.archives or f"file://{(self.home / 'archives').absolute()}"

    def port(self, service: str) -> int:
        """The local port of a service named in PORT_OFFSETS."""
        return self.port_base + PORT_OFFSETS[service]


def is_listed(module: str, allowed: str) -> bool:
    """Whether a module is one of these colon-separated ones, or below one."""
    return any(module == one or module.startswith(f"{one}.") for one in allowed.split(":") if one)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        UsageError: a value does not parse as its type, or is out of its range.
    """
    source = os.environ if environ is None else environ
    values: dict[str, object] = {}
    for item in fields(Settings):
        raw = source.get(f"WORKBENCH_{item.name.upper()}")
        if raw is None or raw == "":
            continue
        kind = {"Path": Path, "int": int, "float": float}.get(str(item.type), str)
        try:
            values[item.name] = kind(raw)
        except ValueError as error:
            raise UsageError(
                f"WORKBENCH_{item.name.upper()}={raw!r} is not a {kind.__name__}",
                hint=f"unset it or give a {kind.__name__}",
            ) from error
    found = Settings(**values)  # type: ignore[arg-type]  # names and types were matched above
    _check(found)
    return found


_LEAST: Mapping[str, float] = {
    "artifact_retention_days": 0,
    "run_history_days": 0,
    "journal_days": 0,
    "min_free_disk": 0,
    "batch_rows": 1,
    "batch_bytes": 1,
    "part_rows": 1,
    "duckdb_threads": 1,
    "max_join_rows": 1,
    "max_definition_bytes": 1,
    "port_base": 1024,
    "slow_connection_seconds": 0,
    "store_wait_hours": 0,
    "check_history_days": 0,
    "escalation_hours": 0,
    "backup_lock_days": 0,
    "backup_rate": 0,
    "fence_wait_seconds": 0,
    "archive_max_hours": 0,
    "archive_verify_days": 0,
    "archive_replaced_days": 0,
    "backup_max_hours": 0,
    "backup_verify_days": 0,
    "log_max_minutes": 0,
}
_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.IGNORECASE)


def _check(settings: Settings) -> None:
    """Refuse what parses and yet cannot be meant, before something far away trips over it."""
    for name, least in _LEAST.items():
        value = getattr(settings, name)
        if not value >= least:  # NaN is not, either
            raise _refused(name, value, f"give at least {least}")
    highest = 65_535 - max(PORT_OFFSETS.values())
    if settings.port_base > highest:
        raise _refused("port_base", settings.port_base, f"give at most {highest}: the stack's ports follow it")
    for name in ("duckdb_memory", "comparison_memory"):
        if not _SIZE.fullmatch(getattr(settings, name)):
            raise _refused(name, getattr(settings, name), "give a size such as 256MB or 1.5GB")
    if settings.artifact_compression not in ("lz4", "zstd"):
        raise _refused("artifact_compression", settings.artifact_compression, "give lz4 or zstd")
    if settings.backup_lock_mode not in ("governance", "compliance"):
        raise _refused("backup_lock_mode", settings.backup_lock_mode, "give governance or compliance")


def _refused(name: str, value: object, hint: str) -> UsageError:
    return UsageError(f"WORKBENCH_{name.upper()}={value} cannot be used", hint=hint)
