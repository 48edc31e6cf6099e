"""What a pipeline file says to one connector alone, read into that connector's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from data_workbench.errors import UsageError

Options = TypeVar("Options", bound=BaseModel)


def read_options(
    model: type[Options], values: Mapping[str, Any] | None, *, where: str, named: Literal["options", "keys"] = "options"
) -> Options:
    """The values in the connector's model; none are its defaults.

    Args:
        where: what the message begins with: `options of a Singer source`.
        named: what the file calls them.

    Raises:
        UsageError: an unknown one, or a value of the wrong type or size, each named, with those that are known.
    """
    given = dict(values) if isinstance(values, Mapping) else values
    try:
        return model.model_validate({} if given is None else given)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        # Not chained: pydantic's own text repeats the values.
        raise UsageError(f"{where}: {said}", hint=f"known {named}: {', '.join(model.model_fields)}") from None
