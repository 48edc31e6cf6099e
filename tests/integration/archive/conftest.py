"""The command line over stores of this test, and a table of events to archive."""

from __future__ import annotations

import pytest
from tests.integration.cli.conftest import Shell, shell

__all__ = ["events", "shell"]

POLICY = """\
version: 1
archive: old_events
connection: site
dataset: public.events
where: state = 'closed'
age: {column: created_at, older_than: 1y}
partition: month
retention: 7y
batch_rows: 400
search: [body]
attributes: [project]
"""

# Types that Arrow has, types it lacks, and values at their ends.
TABLE = """
CREATE TYPE public.mood AS ENUM ('calm', 'cross');
CREATE TABLE public.events (
    id bigint PRIMARY KEY, state text NOT NULL, created_at timestamptz NOT NULL, project uuid, body text,
    amount numeric(12,2), exact numeric, ratio double precision, document jsonb, tags text[], grid int[][],
    at time, day date, gap interval, raw bytea, mood public.mood, span int4range,
    doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO public.events
SELECT n, CASE WHEN n % 10 = 0 THEN 'open' ELSE 'closed' END,
       timestamptz '2021-01-15 12:00Z' + (n % 4) * interval '1 month',
       ('00000000-0000-0000-0000-00000000000' || n % 3)::uuid,
       CASE n % 7 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'note ' || n || ' naïve 🚀' END,
       n * 1.25, CASE n % 5 WHEN 0 THEN 'NaN' ELSE n || '.5000' END::numeric,
       CASE n % 6 WHEN 0 THEN '-0' WHEN 1 THEN 'Infinity' ELSE n / 3.0 END::float8,
       jsonb_build_object('n', n, 'deep', jsonb_build_array(n, NULL)), ARRAY['a,b', 'c"d', NULL],
       ARRAY[[n, 2], [3, NULL]], time '12:34:56.789',
       CASE n % 9 WHEN 0 THEN 'infinity' ELSE '0044-03-15 BC' END::date,
       make_interval(months => n, secs => 1.5), decode('00ff', 'hex'), 'cross', int4range(n, n + 5)
  FROM generate_series(1, 2000) n;
INSERT INTO public.events (id, state, created_at) VALUES (5001, 'closed', now()), (5002, 'closed', 'infinity');
"""


@pytest.fixture
def events(shell: Shell) -> Shell:
    """2,000 events of four months of 2021, every tenth of them open, and two that are not past their time."""
    shell.sql(f"DROP TYPE IF EXISTS public.mood CASCADE; {TABLE}")
    folder = shell.folder / "dags" / "archives"
    folder.mkdir(parents=True)
    (folder / "old_events.yaml").write_text(POLICY, encoding="utf-8")
    return shell
