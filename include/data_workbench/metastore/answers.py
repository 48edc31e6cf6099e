"""What the outside answered to enriching steps, kept until it is too old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from data_workbench.metastore.database import Metastore
from data_workbench.metastore.tables.stores import enrichment_answers


def recall(store: Metastore, keys: Sequence[str], *, since: datetime) -> dict[str, str]:
    """The answers, as JSON, to those of these questions that were answered since then."""
    a = enrichment_answers.c
    statement = select(a.question, a.answer).where(a.question.in_(list(keys)), a.asked >= since)
    with store.transaction() as connection:
        return {str(row.question): str(row.answer) for row in connection.execute(statement)}


def remember(store: Metastore, answers: Mapping[str, str], *, now: datetime, until: datetime) -> None:
    """Keep answers, each by its question's hash."""
    if not answers:
        return
    rows = [
        {"question": question, "answer": answer, "asked": now, "until": until}
        for question, answer in sorted(answers.items())  # in one order, so that two runs do not wait for each other
    ]
    made = insert(enrichment_answers)
    changed = {name: made.excluded[name] for name in ("answer", "asked", "until")}
    statement = made.on_conflict_do_update(index_elements=["question"], set_=changed)
    with store.transaction() as connection:
        connection.execute(statement, rows)


def expire(store: Metastore, moment: datetime) -> int:
    """Forget answers that are too old at a moment; how many."""
    statement = delete(enrichment_answers).where(enrichment_answers.c.until < moment)
    with store.transaction() as connection:
        return connection.execute(statement).rowcount
