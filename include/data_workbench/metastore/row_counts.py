"""The rows of a run in three numbers, as SQL over a row of `runs`: pages, monitoring and totals count alike."""

from __future__ import annotations

from typing import Final

READ: Final = "(SELECT sum((value->>'read')::bigint) FROM json_each(result->'sources'))"
"""Rows that sources handed over."""
WRITTEN: Final = """(SELECT sum((value->>'inserted')::bigint + (value->>'updated')::bigint
                 + (value->>'deleted')::bigint) FROM json_each(result->'destinations'))"""
"""Rows and nodes that destinations changed; relationships are not among them."""
QUARANTINED: Final = """(SELECT sum(aside)
     FROM (SELECT (value->>'quarantined')::bigint FROM json_each(result->'sources')
           UNION ALL SELECT (value->>'quarantined')::bigint FROM json_each(result->'steps')
           UNION ALL SELECT (value->>'rejected')::bigint FROM json_each(result->'destinations')
           UNION ALL SELECT (value->'relationships'->>'rejected')::bigint FROM json_each(result->'destinations')
          ) counted (aside))"""
"""Rows set aside on the way, and those that a store refused; NULL where nothing was counted, as for the others."""
