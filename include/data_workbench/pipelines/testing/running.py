"""Running tests: the stage of a run over given rows, in a folder of its own that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from data_workbench.artifacts import ArtifactStore
from data_workbench.connectors import registry
from data_workbench.connectors.base import ReadRequest
from data_workbench.connectors.connections import Connection
from data_workbench.errors import DefinitionError, Finding, WorkbenchError
from data_workbench.language.definition import Definition
from data_workbench.language.params import read_params
from data_workbench.pipelines.landing import LandingContext
from data_workbench.pipelines.planning import compile_run
from data_workbench.pipelines.staging import QUARANTINE, Stage, StageResult
from data_workbench.pipelines.testing.answers import GivenAnswers
from data_workbench.pipelines.testing.comparing import Difference, Rejected, compare_rejected, compare_rows
from data_workbench.pipelines.testing.given import (
    PSEUDONYMS,
    GivenStores,
    GivenStream,
    Unfit,
    as_declared,
    asked,
    given_table,
    under_test,
)
from data_workbench.pipelines.testing.spec import Case, RowsFile
from data_workbench.records.marks import OP, TOMBSTONE, UPSERT
from data_workbench.records.values import rows_of

if TYPE_CHECKING:
    from data_workbench.pipelines.testing.files import CaseFile
    from data_workbench.settings import Settings
    from data_workbench.transforms.taken import FindUnique

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_RUN = "test"


@dataclass(frozen=True)
class Outcome:
    """What became of one test; it passed if `differences` is empty."""

    file: str
    line: int
    pipeline: str
    name: str
    seconds: float
    differences: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """The form of `--json`."""
        told = [{key: vars(one)[key] for key in ("file", "line", "column", "message")} for one in self.differences]
        rest = {name: value for name, value in vars(self).items() if name != "differences"}
        return {**rest, "outcome": "passed" if self.passed else "failed", "differences": told}


def run_cases(file: CaseFile, *, settings: Settings, only: str | None = None) -> Iterator[Outcome]:
    """The outcome of each test of a file, in order.

    Args:
        only: leave out tests whose name does not hold this text.

    Raises:
        DefinitionError: given rows do not fit their columns; before any test runs.
    """
    given = [_given(file, at, case, settings) for at, case in enumerate(file.spec.tests)]
    definition = Definition(under_test(file.definition.spec), file.definition.path, file.definition.text)
    with tempfile.TemporaryDirectory(prefix="workbench-test-") as folder:
        for at, case in enumerate(file.spec.tests):
            if only is not None and only not in case.name:
                continue
            home = Path(folder) / str(at)
            own = replace(settings, home=home, artifacts="", min_free_disk=0, pseudonym_secret=PSEUDONYMS)
            started = time.monotonic()
            found = _Attempt(file, case, definition, given[at], own).differences()
            place = file.tree.locate(("tests", at, "name"))
            yield Outcome(
                str(file.path),
                place.line,
                file.definition.spec.pipeline,
                case.name,
                round(time.monotonic() - started, 3),
                tuple(file.finding(("tests", at, *one.path), one.message) for one in found),
            )


# ------------------------------------------------------------------------------------------------------------ given


def _given(file: CaseFile, at: int, case: Case, settings: Settings) -> dict[str, GivenStream]:
    spec = file.definition.spec
    streams = {}
    for name in file.givable:
        mine = name in case.given
        path: tuple[str | int, ...] = ("tests", at, "given", name) if mine else ("given", name)
        rows = case.given.get(name, file.spec.given.get(name, []))
        source = spec.sources.get(name)
        key = tuple(file.spec.keys.get(name, ()))
        declared = file.spec.columns.get(name, {})
        if isinstance(rows, RowsFile):
            found = _from_file(file, path, rows.file, name, key, settings)
        known = [*(source.columns or []), *(source.key or [])] if source else _side_columns(file, name)
        try:
            if isinstance(rows, RowsFile):
                streams[name] = replace(found, table=as_declared(found.table, declared))
            else:
                streams[name] = GivenStream(given_table(rows, declared, known), key)
        except Unfit as error:
            where = (*path, error.row, error.column) if error.row is not None else ("columns", name, error.column)
            if error.row is None and name not in file.spec.columns:
                where = path
            message = f"{name}: {error}"
            raise DefinitionError([file.finding([part for part in where if part is not None], message)]) from None
    return streams


def _side_columns(file: CaseFile, name: str) -> list[str]:
    from data_workbench.pipelines.planning import side_plans

    spec = file.definition.spec
    for step in spec.steps:
        if step.enrich is not None and name == f"enrich:{step.name}":
            return [*step.enrich.given, *step.enrich.take]
    return list(side_plans(spec)[name].columns)


def _from_file(
    file: CaseFile, path: tuple[str | int, ...], name: str, source: str, key: tuple[str, ...], settings: Settings
) -> GivenStream:
    """The rows of a file beside the test file, by the connector and with the options that the pipeline's source has."""
    root = file.path.parent.resolve()
    place = (root / name).resolve()
    if not place.is_relative_to(root) or not place.is_file():
        message = f"there is no file {name!r} below the test file's folder"
        raise DefinitionError([file.finding((*path, "file"), message)])
    planned = file.definition.spec.sources.get(source)
    options = planned.connector_options if planned is not None else {}
    free = replace(settings, file_roots="")
    try:
        with registry.open_source(Connection("tests", "workbench_files", host=f"file://{root}"), free) as opened:
            stream = str(place.relative_to(root))
            schema = opened.describe(stream, options).schema
            reading = opened.read(ReadRequest(stream, options=options, now=NOW))
            batches = list(reading)
            table = pa.Table.from_batches(batches, schema=reading.schema)
            bare = pa.schema([schema.field(item.name) for item in table.schema])
            return GivenStream(table.cast(bare), key, tuple(reading.rejections))
    except WorkbenchError as error:
        raise DefinitionError([file.finding((*path, "file"), error.message, hint=error.hint)]) from None


# ---------------------------------------------------------------------------------------------------------- running


class _GivenStage(Stage):
    def _outside(self) -> GivenAnswers:
        """Nobody is asked: answers are given, too."""
        assert isinstance(self.stores, GivenStores)
        return GivenAnswers(self.stores.tables, self.settings)

    def _find_unique(self) -> FindUnique:
        """Nothing stands in any store."""
        return lambda _node, _columns, values: values.slice(0, 0)


@dataclass(frozen=True)
class _Attempt:
    """One test."""

    file: CaseFile
    case: Case
    definition: Definition
    given: Mapping[str, GivenStream]
    settings: Settings

    def differences(self) -> list[Difference]:
        expected = self.case.expect
        try:
            stage, result = self._run()
        except WorkbenchError as error:
            return self._compare_error(error)
        if expected.error is not None:
            return [Difference(("expect", "error"), f"the run ends without an error, not in {expected.error.kind}")]
        told = self._compare_rows(stage)
        told += compare_rejected(("expect", "quarantined"), expected.quarantined, self._rejected(stage))
        return told + self._compare_counts(result)

    def _run(self) -> tuple[Stage, StageResult]:
        spec = self.definition.spec
        watched = {self.file.node_of(name) for name in [*self.case.expect.rows, *self.case.expect.deleted]}
        now = datetime.fromisoformat(self.case.now) if self.case.now else NOW
        values = read_params(spec.params, self.case.params)
        with GivenStores(self.given, self.settings, asked(spec)) as stores:
            plan = compile_run(self.definition, stores, watched=watched)
            stage = _GivenStage(
                plan=plan,
                context=LandingContext(spec.pipeline, _RUN, now if now.tzinfo else now.replace(tzinfo=UTC), values),
                base=dict.fromkeys(plan.sources),
                stores=stores,
                artifacts=ArtifactStore(self.settings),
                metastore=None,
                settings=self.settings,
                moves_state=False,
                keeps_rejected=False,
            )
            return stage, stage.run()

    def _compare_error(self, error: WorkbenchError) -> list[Difference]:
        wanted = self.case.expect.error
        if wanted is None:
            return [Difference(("name",), f"the run fails: {error.kind}: {error.message}")]
        if error.kind != wanted.kind:
            return [Difference(("expect", "error", "kind"), f"the run ends in {error.kind}: {error.message}")]
        if wanted.message is not None and wanted.message not in error.message:
            return [Difference(("expect", "error", "message"), f"the message is {error.message!r}")]
        return []

    def _compare_rows(self, stage: Stage) -> list[Difference]:
        told = []
        for what, mark in (("rows", UPSERT), ("deleted", TOMBSTONE)):
            for name, rows in getattr(self.case.expect, what).items():
                found = _rows_marked(stage, self.file.node_of(name), mark)
                told += compare_rows(("expect", what, name), name, rows, found)
        return told

    def _rejected(self, stage: Stage) -> list[Rejected]:
        import json

        found = []
        manifest = stage.artifacts.find(self.definition.spec.pipeline, _RUN, QUARANTINE)
        for batch in manifest.iter_batches() if manifest else ():
            found += [
                Rejected(row["node"], row["rules"], row["reason"], json.loads(row["row"])) for row in rows_of(batch)
            ]
        for name, one in self.given.items():
            found += [Rejected(name, [item.rule], item.reason, dict(item.key)) for item in one.rejections]
        return found

    def _compare_counts(self, result: StageResult) -> list[Difference]:
        told = []
        for node, wanted in self.case.expect.counts.items():
            found = (result.sources.get(node) or result.steps[node]).as_dict()
            for counter, count in wanted.items():
                path = ("expect", "counts", node, counter)
                if counter not in found:
                    told.append(Difference(path, f"{node} has no count {counter!r}; it has {', '.join(found)}"))
                elif found[counter] != count:
                    told.append(Difference(path, f"{node}: {counter} is {found[counter]}, not {count}"))
        return told


def _rows_marked(stage: Stage, node: str, mark: str) -> pa.Table:
    """The staged rows of a node that ask for the same: to stand in a store, or to be deleted."""
    found = stage.inputs(node)
    table = pa.Table.from_batches(list(found.manifest.iter_batches()), schema=found.manifest.schema)
    if OP in table.column_names:
        table = table.filter(pc.equal(table.column(OP), mark))
    elif mark != UPSERT:
        table = table.slice(0, 0)
    return table.select(found.schema.names).cast(found.schema)
