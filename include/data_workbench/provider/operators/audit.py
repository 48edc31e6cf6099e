"""The task that watches over the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator  # noqa: TID253  # operators are classes of the SDK; a DAG file has it loaded

from data_workbench.provider.engine import open_metastore, translated

if TYPE_CHECKING:
    from airflow.sdk import Context


class VerifyAuditOperator(BaseOperator):
    """Verifies the audit trail, and signs its newest entry into the file of heads; fails where the trail is not whole.

    Safe to run twice: a head more of the same entry says the same.
    """

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002  # Airflow's signature
        """The entry that was signed. A broken trail is no better for a retry."""
        from data_workbench import settings as settings_module
        from data_workbench.audit import Heads, open_keys, sign_newest

        settings = settings_module.load()
        with translated(), open_metastore() as metastore:
            keys, heads = open_keys(settings, makes=True), Heads.of(settings)
            assert keys is not None
            signed = sign_newest(metastore, heads=heads, keys=keys)
            heads.add(signed)
        self.log.info("the audit trail is whole; entry %s is signed in %s", signed.sequence, heads.place)
        return {"sequence": signed.sequence, "hash": signed.hash}
