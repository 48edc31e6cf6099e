"""The audit trail: who did what, when and why, each entry chained to the one before it.

A trigger refuses to change or remove entries. Only sealing removes any: it names in its own transaction up to which
entry (`audit.Sealing`), and leaves an entry that says so.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and what guards it."""
    op.execute(
        """CREATE TABLE audit_entries (
            sequence bigint PRIMARY KEY,
            at timestamptz NOT NULL CHECK (at BETWEEN '2000-01-01Z' AND '9999-12-31Z'),
            actor text NOT NULL,
            origin text NOT NULL,
            action text NOT NULL,
            object text NOT NULL,
            reason text,
            run_id text,
            correlation_id text,
            details text NOT NULL,
            previous text NOT NULL,
            hash text NOT NULL
        )"""
    )
    op.execute("CREATE INDEX audit_entries_by_time ON audit_entries (at)")
    op.execute("CREATE INDEX audit_entries_by_object ON audit_entries (object, sequence)")
    op.execute(
        """CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF OLD.sequence <= coalesce(nullif(current_setting('workbench.audit_seal', true), ''), '0')::bigint THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION 'entries of the audit trail are neither changed nor removed'
                USING ERRCODE = 'insufficient_privilege';
        END $$"""
    )
    op.execute(
        "CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON audit_entries"
        " FOR EACH ROW EXECUTE FUNCTION audit_entries_stay()"
    )
    op.execute(
        "CREATE TRIGGER audit_entries_not_emptied BEFORE TRUNCATE ON audit_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_stay()"
    )
