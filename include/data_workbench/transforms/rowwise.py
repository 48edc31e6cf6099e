"""Which function compiles which of the verbs that look at one row at a time: they share a segment with their input."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data_workbench.transforms import values, verbs
from data_workbench.transforms.drafts import Compilation, Draft, Shape
from data_workbench.transforms.each import call_for_each
from data_workbench.transforms.enriching import embed_texts, enrich_rows
from data_workbench.transforms.mapped import map_columns
from data_workbench.transforms.parsing import parse_column
from data_workbench.transforms.rulesets import apply_rule_set
from data_workbench.transforms.spec import Step


def rowwise(step: Step) -> Callable[[Compilation, Step, Shape, str], Draft] | None:
    """The function that compiles a step which looks at one row at a time; None for any other."""
    if step.python is not None:
        return call_for_each if step.python.each else None
    return ROWWISE.get(step.verb)


ROWWISE: Mapping[str, Callable[[Compilation, Step, Shape, str], Draft]] = {
    "select": verbs.select_columns,
    "rename": verbs.rename_columns,
    "derive": verbs.derive_columns,
    "filter": verbs.filter_rows,
    "cast": verbs.cast_columns,
    "deduplicate": verbs.deduplicate_rows,
    "lookup": verbs.lookup_values,
    "map": map_columns,
    "parse": parse_column,
    "normalise": values.normalise_texts,
    "hash": values.hash_columns,
    "mask": values.mask_texts,
    "pseudonymise": values.pseudonymise,
    "surrogate_key": values.surrogate_key,
    "rules": apply_rule_set,
    "enrich": enrich_rows,
    "embed": embed_texts,
}
