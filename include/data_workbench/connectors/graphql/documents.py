"""Queries as text: whether one may be sent, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from data_workbench.connectors.graphql.options import GraphqlOptions

_MOST_TOKENS = 10_000


@dataclass(frozen=True)
class QueryMistake:
    """One mistake in a query, with its place in the text; lines and columns count from 1."""

    message: str
    hint: str | None = None
    line: int = 1
    column: int = 1


def mistakes(options: GraphqlOptions) -> Iterator[QueryMistake]:
    """What is wrong with a query: it does not parse, it would change something, a variable is not declared."""
    from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse

    if options.query is None:
        return
    try:
        document = parse(options.query, max_tokens=_MOST_TOKENS)
    except GraphQLSyntaxError as error:
        place = error.locations[0] if error.locations else None
        yield QueryMistake(error.message, None, place.line if place else 1, place.column if place else 1)
        return
    except RecursionError:
        yield QueryMistake("the query is nested too deep")
        return
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1:
        yield QueryMistake(f"a query has one operation, here are {len(operations)}", "write one query per source")
        return
    operation = operations[0]
    if operation.operation != OperationType.QUERY:
        line = operation.loc.start_token.line if operation.loc else 1
        yield QueryMistake(f"a source reads: a {operation.operation.value} is not sent", "write query { … }", line)
        return
    declared = [definition.variable.name.value for definition in operation.variable_definitions or ()]
    for name in sorted(options.sent_variables() - set(declared)):
        yield QueryMistake(f"the query does not declare the variable ${name}", near_names(name, declared))
