"""The graph of lineage as it holds now, as views that a pipeline can read: `dags/pipelines/lineage_graph.yaml` does.

A job of the workbench is a whole pipeline, policy or contract here, whatever its stages; others' jobs are taken as they
are. Times are left out, so that a row changes only where the graph does, and comparisons, which read what their own
pipeline wrote.
"""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_WHOLE = "CASE WHEN j.namespace = 'workbench' THEN split_part(j.name, '.', 1) ELSE j.name END"
_EDGES = f"""SELECT DISTINCT md5(j.namespace || E'\\n' || {_WHOLE}) AS job_id, e.dataset_id, e.role
    FROM lineage_standing s
    JOIN lineage_jobs j ON j.id = s.job_id
    JOIN lineage_dataset_edges e ON e.version_id = s.version_id
    WHERE NOT (j.namespace = 'workbench' AND split_part(j.name, '.', 2) = 'reconcile')"""


def upgrade() -> None:
    """Make the views."""
    op.execute(
        """CREATE VIEW lineage_standing AS
        SELECT j.id AS job_id, r.version_id FROM lineage_jobs j CROSS JOIN LATERAL (
            SELECT version_id FROM lineage_runs
            WHERE job_id = j.id AND held_from <= now() ORDER BY held_from DESC, run_id DESC LIMIT 1
        ) r"""
    )
    op.execute(
        f"""CREATE VIEW lineage_graph_jobs AS
        SELECT md5(namespace || E'\\n' || name) AS id, namespace, name, kind,
               CASE WHEN kind = 'other' THEN name ELSE substr(name, length(kind) + 3) END AS title, max(owner) AS owner
        FROM (
            SELECT j.namespace, {_WHOLE} AS name,
                   CASE WHEN j.namespace = 'workbench' THEN split_part(j.name, '__', 1) ELSE 'other' END AS kind,
                   j.facets #>> '{{ownership,facet,owners,0,name}}' AS owner
            FROM lineage_standing s JOIN lineage_jobs j ON j.id = s.job_id
        ) AS jobs GROUP BY namespace, name, kind"""
    )
    op.execute(
        """CREATE VIEW lineage_graph_datasets AS
        SELECT id, namespace, name, split_part(namespace, '://', 1) AS store,
               CASE WHEN namespace LIKE 'postgres://%' OR namespace LIKE 'neo4j://%'
                    THEN substr(name, position('.' IN name) + 1) ELSE name END AS stream
        FROM lineage_datasets d
        WHERE EXISTS (
            SELECT FROM lineage_standing s JOIN lineage_dataset_edges e ON e.version_id = s.version_id
            WHERE e.dataset_id = d.id
        )"""
    )
    for name, role in (("reads", "input"), ("writes", "output")):
        op.execute(
            f"CREATE VIEW lineage_graph_{name} AS"
            f" SELECT md5(job_id || dataset_id) AS id, job_id, dataset_id FROM ({_EDGES}) AS edges"
            f" WHERE role = '{role}'"
        )
