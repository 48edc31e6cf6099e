"""What a pipeline writes, by the names that others wait for: `schedule: {dataset: NAME}`.

A name is `connection:dataset`: a table, a label, `[:TYPE]`, `class:IRI`, a collection, a file. It is made of what the
file says alone, so nobody has to be asked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_workbench.language.spec_destination import Destination


def dataset_names(destination: Destination) -> list[str]:
    """`connection:dataset` of everything a destination writes, in the file's order, each once."""
    match destination.shape:
        case "table":
            written = [str(destination.table)]
        case "collection":
            written = [str(destination.collection)]
        case "resource" if destination.resource is not None:
            written = [f"class:{destination.resource.class_}"]
        case "file":
            written = [str(destination.file or destination.folder)]
        case _:
            labels = [node.label for node in destination.nodes]
            written = [*labels, *(f"[:{relationship.type}]" for relationship in destination.relationships)]
    return [f"{destination.connection}:{name}" for name in dict.fromkeys(written)]
