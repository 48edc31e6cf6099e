"""What a contract promises of a column, by itself: whether any value can keep it."""

from __future__ import annotations

from collections.abc import Iterator

from data_workbench.language.yaml_tree import Path
from data_workbench.quality.contract import ColumnContract, Scalar
from data_workbench.records.type_names import canonical_type
from data_workbench.transforms.literals import pattern_refused

Said = tuple[Path, str, str | None]
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL")


def mistakes(promise: ColumnContract) -> Iterator[Said]:
    """Place within the promise, message and hint of everything in it that cannot be right."""
    if promise.type is not None:
        try:
            canonical_type(promise.type)
        except ValueError as error:
            yield ("type",), str(error), None
    if promise.pattern is not None and (refused := pattern_refused(promise.pattern)) is not None:
        yield ("pattern",), *refused
    yield from _range(promise)
    shortest, longest = promise.min_length, promise.max_length
    if shortest is not None and longest is not None and shortest > longest:
        yield ("min_length",), f"min_length {shortest} is more than max_length {longest}", None
    yield from _kinds(promise)


def _range(promise: ColumnContract) -> Iterator[Said]:
    least, most = promise.min, promise.max
    if least is None or most is None:
        return
    if _kind(least) != _kind(most):
        yield ("max",), f"min is a {_kind(least)}, max is a {_kind(most)}", "quote both, or none"
    elif least > most:  # type: ignore[operator]  # of one kind, as checked above
        yield ("min",), f"min {least!r} is more than max {most!r}", None


def _kinds(promise: ColumnContract) -> Iterator[Said]:
    """Values, min and max must be of the kind the type has."""
    given: list[tuple[Path, Scalar]] = [(("values", at), one) for at, one in enumerate(promise.values or [])]
    given += [((name,), one) for name in ("min", "max") if (one := getattr(promise, name)) is not None]
    wanted = _kind_of_type(promise.type)
    for place, value in given:
        if wanted is not None and _kind(value) != wanted:
            message = f"{value!r} is a {_kind(value)}, but the column's type is {promise.type}"
            yield place, message, "quote it" if wanted == "text" else f"write a {wanted}"
    if wanted is None and len({_kind(one) for one in promise.values or []}) > 1:
        yield ("values",), "values mix texts, numbers and true/false", "write all in one way"


def _kind(value: Scalar) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _kind_of_type(name: str | None) -> str | None:
    """The kind of scalar a YAML file writes for values of a type; None if more than one would do."""
    try:
        kind = canonical_type(name) if name is not None else ""
    except ValueError:
        return None
    if kind in ("VARCHAR", "UUID", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ"):
        return "text"
    if kind == "BOOLEAN":
        return "boolean"
    return "number" if kind and not kind.endswith("]") and any(one in kind for one in _NUMBERS[:3]) else None
