"""Policies over tables of a test's own."""

from __future__ import annotations

from tests.integration.cli.conftest import Shell


def policy(shell: Shell, dataset: str, name: str = "olds", **said: str) -> None:
    """Write a policy; `said` are further lines, over those here."""
    lines = {"version": "1", "archive": name, "connection": "site", "dataset": dataset,
             "age": "{column: at, older_than: 1y}", "partition": "month", "batch_rows": "400", **said}  # fmt: skip
    folder = shell.folder / "dags" / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{key}: {value}\n" for key, value in lines.items())
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def rows(shell: Shell, *tables: str) -> list[tuple[object, ...]]:
    """Every row of these tables as text, in no order that matters."""
    return sorted(shell.sql(" UNION ALL ".join(f"SELECT '{one}'::text, _row::text FROM {one} _row" for one in tables)))
