"""Every golden case (tests/golden), run by DuckDB in process; all of them share one database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.golden.cases import Case, Given, Outcome, check, load_cases

from data_workbench.errors import WorkbenchError
from data_workbench.records.definitions import Mistake
from data_workbench.records.names import quoted
from data_workbench.records.type_names import canonical_type
from data_workbench.records.types import with_native
from data_workbench.records.uuids import UUID5_MACROS
from data_workbench.settings import Settings
from data_workbench.transforms.engine import LEFT_ALONE, set_params

if TYPE_CHECKING:
    from .conftest import Bench

CASES = load_cases()


class SharedEngine:
    """One database; each plan has a session of its own in it, with temp tables and variables of its own."""

    def __init__(self) -> None:
        self.database = duckdb.connect(config={"threads": 1})
        self.database.execute("SET preserve_insertion_order = true")
        for statement in UUID5_MACROS:
            self.database.execute(statement.replace(" TEMP ", " "))  # for all sessions: made once
        self.database.execute(f"SET disabled_optimizers = '{LEFT_ALONE}'")

    @contextmanager
    def __call__(
        self,
        *,
        settings: Settings,
        work_folder: Path,
        params: Mapping[str, tuple[str, Any]],
        folders: Iterable[Path] = (),
        in_order: bool = True,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        work_folder.mkdir(parents=True, exist_ok=True)
        session = self.database.cursor()
        session.execute("SET TimeZone = 'UTC'")
        try:
            set_params(session, params)
            yield session
        finally:
            session.close()

    def table(self, given: Given) -> pa.Table:
        """A case's rows as a landed table."""
        kinds = {name: canonical_type(kind) for name, kind in given.columns.items()}
        row = ", ".join(f"CAST(? AS {kind})" for kind in kinds.values())
        names = ", ".join(map(quoted, kinds))
        values = [value for one in given.rows for value in one]
        rows = (
            ", ".join([f"({row})"] * len(given.rows)) or f"({', '.join(f'CAST(NULL AS {k})' for k in kinds.values())})"
        )
        sql = f"SELECT * FROM (VALUES {rows}) t({names})" + ("" if given.rows else " WHERE false")
        made = self.database.sql(sql, params=values or None).to_arrow_table()
        natives = {"UUID": "uuid", "JSON": "json"}
        fields = [
            with_native(pa.field(name, pa.string()), natives[kind]) if kind in natives else pa.field(name, item.type)
            for (name, kind), item in zip(kinds.items(), made.schema, strict=True)
        ]
        plain = [
            column.cast(pa.string()) if kind == "UUID" and column.type == pa.string() else column
            for column, kind in zip(made.columns, kinds.values(), strict=True)
        ]
        arrays = [
            pa.chunked_array([chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in one.chunks])
            if isinstance(one.type, pa.BaseExtensionType)
            else one
            for one in plain
        ]
        return pa.table([one.cast(item.type) for one, item in zip(arrays, fields, strict=True)], pa.schema(fields))


@pytest.fixture(scope="module")
def engine() -> Iterator[SharedEngine]:
    shared = SharedEngine()
    yield shared
    shared.database.close()


@pytest.fixture(scope="module")
def golden_bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: SharedEngine
) -> Bench:
    make = request.getfixturevalue("make_bench")
    bench: Bench = make(tmp_path_factory.mktemp("golden"))
    bench.opener = engine
    bench.settings = replace(bench.settings, python_modules="tests.golden")
    return bench


def run(case: Case, bench: Bench, engine: SharedEngine) -> Outcome:
    """The case by DuckDB."""
    last = case.steps[-1]["name"]
    out = bench.run(
        {name: engine.table(given) for name, given in case.given.items()},
        case.steps,
        about={
            name: {"key": given.key, "key_is_unique": given.unique, "tombstone_when": given.deletes}
            for name, given in case.given.items()
        },
        sides={name: engine.table(given) for name, given in case.beside.items()},
        params=dict(case.params),
        secrets=case.secrets,
        needed={last},
        retract={last} if case.merge else None,
    )
    node = out.plan.node(last)
    table = out.tables[last]
    return Outcome(
        columns=table.column_names,
        rows=table.to_pylist(),
        counts=out.counts(last),
        quarantined=[{**record, "row": json.loads(record["row"])} for record in out.quarantine],
        lineage={name: {f"{one.source}.{one.column}" for one in found} for name, found in node.lineage.items()},
        decided_by={f"{one.source}.{one.column}" for one in node.conditions},
        unchanged={name for name, found in node.lineage.items() if [one.kind for one in found] == ["IDENTITY"]},
        types={item.name: str(item.type) for item in node.columns},
    )


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file}: {case.name}" for case in CASES])
def test_a_golden_case_comes_out_as_written(case: Case, golden_bench: Bench, engine: SharedEngine) -> None:
    if "error" in case.expect:
        with pytest.raises((WorkbenchError, ValidationError, Mistake)) as caught:
            run(case, golden_bench, engine)
        assert case.expect["error"] in str(caught.value)
        return
    check(case, run(case, golden_bench, engine))


def test_every_verb_has_golden_cases() -> None:
    from data_workbench.transforms.spec import VERBS

    told = {verb for case in CASES for step in case.steps for verb in step if verb not in ("name", "input")}
    assert set(VERBS) - told == set()


def test_no_two_cases_of_a_file_have_one_name() -> None:
    names = [(case.file, case.name) for case in CASES]
    assert len(names) == len(set(names))
