"""What contracts classify is hidden under every name that a dataset has, and where its nodes are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_workbench import settings
from data_workbench.pipelines.hidden_columns import HiddenColumns


def test_a_table_has_two_names_and_a_relationship_shows_nodes_of_any_label(tmp_path: Path) -> None:
    for name, connection, stream in (("one", "pg", "people"), ("two", "graph", "Person"), ("three", "other", "Person")):
        (tmp_path / f"{name}.yaml").write_text(
            f"version: 1\ncontract: {name}\nconnection: {connection}\nstream: {stream}\n"
            f"columns: {{of_{name}: {{classification: controlled}}, seen: {{classification: public}}}}\n"
        )
    hidden = HiddenColumns(replace(settings.load(), contracts=tmp_path, pipelines=tmp_path / "none"))
    for dataset in ("pg:people", "pg:public.people", 'pg:"public"."people"'):
        assert hidden(dataset) == {"of_one"}
    assert hidden("pg:others.people") == frozenset()
    assert hidden("graph:Person") == {"of_two"}
    assert hidden("graph:[:KNOWS]") == {"of_two"}
