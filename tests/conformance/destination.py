"""What every destination must do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pyarrow as pa
import pytest

from conformance.rows import SCHEMA, by_key, make_rows, marked, row
from data_workbench.connectors.base import Destination
from data_workbench.connectors.powers import CanDelete, CanReadBack
from data_workbench.errors import Unsupported
from data_workbench.events import Event, subscribed
from data_workbench.mapping.targets import Disposition, FileTarget, LoadContext, TableTarget, Target
from data_workbench.records import marks
from data_workbench.records.accounting import WriteCounts


def context(run_id: str = "run-1", pipeline: str = "conformance") -> LoadContext:
    """Who writes."""
    return LoadContext(
        pipeline=pipeline, destination="there", run_id=run_id, target_index=0, now="2026-01-01T00:00:00+00:00"
    )


class DestinationConformance:
    """Inherit, and give the fixtures `destination` and `target` (write: merge where the store can, key `id`).

    Override `schema` and `rows` where a store cannot take all types of conformance.rows. Each test has an empty target.
    """

    @pytest.fixture
    def destination(self) -> Destination:
        raise NotImplementedError("override `destination`: an opened Destination on an empty store")

    @pytest.fixture
    def target(self) -> Target:
        raise NotImplementedError("override `target`: what is written, with key ('id',) and write='merge' if it can")

    @pytest.fixture
    def schema(self) -> pa.Schema:
        return SCHEMA

    @pytest.fixture
    def rows(self, schema: pa.Schema) -> pa.Table:
        return make_rows(range(1, 21)).select(schema.names)

    @pytest.fixture
    def load(self, destination: Destination, schema: pa.Schema) -> Callable[..., WriteCounts]:
        """Write parts in one run and finish it; counts of the load, checked to balance."""

        def run(target: Target, *parts: pa.Table, run_id: str = "run-1", pipeline: str = "conformance") -> WriteCounts:
            with destination.open(target, schema, context(run_id, pipeline)) as writer:
                for index in range(writer.progress.parts, len(parts)):
                    writer.write(parts[index], index)
                counts = writer.finish()
            counts.check(target.name)
            return counts

        return run

    def kept(self, rows: pa.Table) -> pa.Table:
        """The rows as the store keeps them; a loss it documents is declared by overriding this."""
        return rows

    def stands(
        self, destination: Destination, target: Target, schema: pa.Schema, keys: pa.Table | None = None
    ) -> pa.Table:
        """What stands in the store, with the OWNED column."""
        if not isinstance(destination, CanReadBack):
            pytest.skip("the store declares no read-back")
        batches = list(destination.read_back(target, schema, context(), keys))
        if batches:
            return pa.Table.from_batches(batches)
        return schema.append(pa.field(marks.OWNED, pa.bool_())).empty_table()

    def writes(self, destination: Destination, target: Target, disposition: Disposition) -> Target:
        """The target with another disposition."""
        if disposition not in destination.capabilities.dispositions:
            pytest.skip(f"the store declares no {disposition}")
        return dataclasses.replace(target, write=disposition)

    # ------------------------------------------------------------------------------------------------ the store

    def test_a_check_tells_the_version(self, destination: Destination) -> None:
        health = destination.check()
        assert health.ok, f"check() of a store that answers says ok; it said: {health.detail}"

    def test_what_is_declared_is_there(self, destination: Destination, target: Target) -> None:
        able = destination.capabilities
        assert target.kind in able.targets, "capabilities.targets names the kind of mapping the store takes"
        assert able.dispositions <= {"append", "replace", "merge"}, "dispositions are append, replace and merge"
        assert ("replace" in able.dispositions) == (able.replace is not None), "say how atomic a replace is, or None"
        assert able.deletes == isinstance(destination, CanDelete), "`deletes` says whether it is a CanDelete"

    def test_a_target_of_another_kind_is_refused_by_name(self, destination, schema) -> None:
        targets = [
            TableTarget(input="rows", table="t", key=("id",), write="merge"),
            FileTarget(input="rows", path="t.csv", is_folder=False, format="csv", write="replace"),
        ]
        strange = next((one for one in targets if one.kind not in destination.capabilities.targets), None)
        if strange is None:
            pytest.skip("the store takes tables and files both")
        with pytest.raises(Unsupported):
            destination.open(strange, schema, context())

    def test_a_plan_changes_nothing(self, destination: Destination, target: Target, schema: pa.Schema) -> None:
        first = destination.plan(target, schema)
        assert destination.plan(target, schema) == first, "plan() changes nothing: asked again, it says the same"
        assert not any(change.action == "refuse" for change in first), "an empty store takes the suite's target"

    # ------------------------------------------------------------------------------------------------ merge

    def test_new_rows_are_inserted_and_stand_with_equal_values(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        counts = load(target, marked(rows.slice(0, 12)), marked(rows.slice(12)))
        assert (counts.inserted, counts.out) == (rows.num_rows, rows.num_rows), "new keys count as inserted"
        found = self.stands(destination, target, schema)
        assert by_key(found.select(schema.names)) == by_key(self.kept(rows))
        assert all(found[marks.OWNED].to_pylist()), "rows this pipeline wrote are read back with OWNED true"

    def test_a_part_without_marks_is_all_upserts(self, destination, target, rows, load) -> None:
        assert load(self.writes(destination, target, "merge"), rows).inserted == rows.num_rows

    def test_the_same_rows_again_are_unchanged(self, destination, target, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        load(target, marked(rows))
        again = load(target, marked(rows), run_id="run-2")
        assert again.unchanged == rows.num_rows, "compare with what stands: a row that does not differ is unchanged"

    def test_only_changed_rows_are_updated(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        load(target, marked(rows))
        values = [{**row(1), "name": None}, {**row(2), "name": "changed"}, row(3), row(900)]
        later = pa.Table.from_pylist(values, schema=SCHEMA).select(schema.names)
        counts = load(target, marked(later), run_id="run-2")
        assert (counts.inserted, counts.updated, counts.unchanged) == (1, 2, 1), "count by what differed, NULL included"
        found = {one["id"]: one["name"] for one in self.stands(destination, target, schema).to_pylist()}
        assert found[1] is None
        assert found[2] == "changed"

    def test_tombstones_delete_what_this_pipeline_wrote(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        load(target, marked(rows))
        gone = pa.Table.from_pylist([{"id": 1}, {"id": 2}, {"id": 12345}], schema=schema)
        counts = load(target, marked(gone, marks.TOMBSTONE), run_id="run-2")
        assert (counts.out, counts.deleted, counts.unchanged) == (3, 2, 1)
        assert set(self.stands(destination, target, schema)["id"].to_pylist()) == set(range(3, 21))

    def test_retractions_delete_and_count_beside_out(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        load(target, marked(rows))
        gone = pa.Table.from_pylist([{"id": 1}, {"id": 12345}], schema=schema)
        counts = load(target, marked(gone, marks.RETRACTION), run_id="run-2")
        assert (counts.out, counts.deleted) == (0, 1)
        assert 1 not in self.stands(destination, target, schema)["id"].to_pylist()

    def test_rows_of_another_pipeline_are_foreign_and_not_deleted(
        self, destination, target, schema, rows, load
    ) -> None:
        target = self.writes(destination, target, "merge")
        load(target, marked(rows.slice(0, 5)), pipeline="other")
        gone = pa.Table.from_pylist([{"id": 1}], schema=schema)
        counts = load(target, marked(gone, marks.TOMBSTONE))
        assert (counts.deleted, counts.unchanged) == (0, 1), (
            "delete only what this pipeline wrote; the rest is unchanged"
        )
        found = self.stands(destination, target, schema)
        assert not any(found[marks.OWNED].to_pylist()), "rows of another pipeline are read back with OWNED false"
        assert found.num_rows == 5

    def test_a_part_written_twice_leaves_the_same_state(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        with destination.open(target, schema, context()) as writer:
            writer.write(marked(rows), 0)
        with destination.open(target, schema, context("run-2")) as writer:
            writer.write(marked(rows), 0)
            writer.finish()
        assert by_key(self.stands(destination, target, schema).select(schema.names)) == by_key(self.kept(rows))

    def test_an_empty_load_is_well(self, destination, target, rows, load) -> None:
        target = self.writes(destination, target, "merge")
        assert load(target) == WriteCounts()
        assert load(target, marked(rows.slice(0, 0)), run_id="run-2") == WriteCounts()

    def test_commits_are_told(self, destination, target, schema, rows) -> None:
        target = self.writes(destination, target, "merge")
        told: list[Event] = []
        with subscribed(told.append), destination.open(target, schema, context()) as writer:
            writer.write(marked(rows), 0)
            writer.finish()
        names = [event.name for event in told if event.facts.get("part") == 0]
        assert names == ["load.before_commit", "load.after_commit"], (
            "emit both around each commit: kill tests stop there"
        )

    # ------------------------------------------------------------------------------------------------ restarts

    def test_a_restarted_load_goes_on_after_its_last_commit(self, destination, target, schema, rows) -> None:
        if not destination.capabilities.transactional:
            pytest.skip("the store commits batch and checkpoint apart")
        parts = [marked(rows.slice(0, 10)), marked(rows.slice(10))]
        for disposition in ("append", "merge"):
            wanted = self.writes(destination, target, disposition)
            run = f"run-{disposition}"
            with destination.open(wanted, schema, context(run)) as writer:
                first = writer.write(parts[0], 0)
            with destination.open(wanted, schema, context(run)) as writer:
                assert writer.progress.parts == 1, "keep the checkpoint beside the data, in the part's own commit"
                assert writer.progress.counts == first, "the checkpoint keeps the counts, too"
                writer.write(parts[1], 1)
                assert writer.finish().out == rows.num_rows
            with destination.open(wanted, schema, context(run)) as writer:
                assert writer.progress.finished
            if disposition == "append":
                assert self.stands(destination, wanted, schema).num_rows == rows.num_rows

    # ------------------------------------------------------------------------------------------------ replace

    def test_replace_leaves_only_the_rows_of_this_load(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "replace")
        load(target, marked(rows))
        load(target, marked(rows.slice(0, 3)), marked(rows.slice(3, 2)), run_id="run-2")
        assert by_key(self.stands(destination, target, schema).select(schema.names)) == by_key(
            self.kept(rows.slice(0, 5))
        )

    def test_a_replace_taken_up_again_loses_no_part(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "replace")
        load(target, marked(rows))
        parts = [marked(rows.slice(0, 7)), marked(rows.slice(7))]
        with destination.open(target, schema, context("run-2")) as writer:
            writer.write(parts[0], 0)
        with destination.open(target, schema, context("run-2")) as writer:
            # As the engine does it: it has noted that part 0 was committed.
            noted = 1 if writer.resumes and not destination.capabilities.transactional else 0
            for index in range(max(noted, writer.progress.parts), len(parts)):
                writer.write(parts[index], index)
            writer.finish()
        assert by_key(self.stands(destination, target, schema).select(schema.names)) == by_key(self.kept(rows))

    def test_a_replace_given_up_leaves_the_old_rows(self, destination, target, schema, rows, load) -> None:
        target = self.writes(destination, target, "replace")
        load(target, marked(rows))
        with destination.open(target, schema, context("run-2")) as writer:
            writer.write(marked(rows.slice(0, 1)), 0)
        found = self.stands(destination, target, schema)
        if destination.capabilities.replace == "versioned":
            assert set(found["id"].to_pylist()) == set(range(1, 21))
        else:
            assert by_key(found.select(schema.names)) == by_key(self.kept(rows))

    # ------------------------------------------------------------------------------------------------ powers

    def test_read_back_by_key_gives_only_those(self, destination, target, schema, rows, load) -> None:
        load(self.writes(destination, target, "merge"), marked(rows))
        keys = pa.table({"id": pa.array([2, 5, 777_777], pa.int64())})
        found = self.stands(destination, target, schema, keys)
        assert sorted(found["id"].to_pylist()) == [2, 5]

    def test_delete_removes_owned_rows_by_key(self, destination, target, schema, rows, load) -> None:
        if not isinstance(destination, CanDelete):
            pytest.skip("the store declares no delete")
        target = self.writes(destination, target, "merge")
        load(target, marked(rows))
        keys = pa.table({"id": pa.array([2, 777_777], pa.int64())})
        assert destination.delete(target, schema, context(), keys) == 1
        assert 2 not in self.stands(destination, target, schema)["id"].to_pylist()
