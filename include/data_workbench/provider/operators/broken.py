"""The only task of a broken file's DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

if TYPE_CHECKING:
    from airflow.sdk import Context


class BrokenFileOperator(BaseOperator):
    """Fails with the mistakes of the file, as `workbench lint` words them."""

    ui_color = "#f6d5d5"

    def __init__(self, *, findings: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.findings = findings

    def execute(self, context: Context) -> None:  # noqa: ARG002  # Airflow's signature
        """Raise them."""
        from airflow.sdk.exceptions import AirflowFailException

        raise AirflowFailException("\n".join(self.findings))
