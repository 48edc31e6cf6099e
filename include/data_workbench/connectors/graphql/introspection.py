"""What a GraphQL API says about itself: which root fields give records, and the query that reads one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_workbench.errors import SchemaConflict, StreamUnknown, Unsupported
from data_workbench.records.names import near_names

if TYPE_CHECKING:
    from graphql import GraphQLField, GraphQLSchema

PAGE_SIZE = 100
_WRITE_IT = "write the query: `graphql: {query: …, variables: …}`"


@dataclass(frozen=True)
class Written:
    """A query made from a schema, with its variables and where its records stand."""

    query: str
    variables: dict[str, Any]
    nodes: str


def schema_of(document: Any, where: str) -> GraphQLSchema:
    """The schema that an introspection answers. Raises SchemaConflict if it is none."""
    from graphql import build_client_schema

    try:
        return build_client_schema(document)
    except (TypeError, ValueError, KeyError) as error:
        raise SchemaConflict(
            f"{where}: the introspection is no schema: {str(error)[:200]}",
            hint=_WRITE_IT,
        ) from None


def root_fields(schema: GraphQLSchema) -> list[str]:
    """Root fields that can be read without being told more."""
    fields = schema.query_type.fields if schema.query_type else {}
    return [name for name, item in fields.items() if _shape(item) is not None and not _needs(item)]


def written(schema: GraphQLSchema, name: str) -> Written:
    """The query for the plain fields of a root field's records, page by page where it is a connection.

    Raises:
        StreamUnknown: there is no such field.
        Unsupported: it gives no records, or needs arguments.
    """
    fields = schema.query_type.fields if schema.query_type else {}
    if name not in fields:
        raise StreamUnknown(f"the API has no root field {name!r}", hint=near_names(name, fields))
    item = fields[name]
    shape = _shape(item)
    if shape is None or _needs(item):
        why = f"needs {', '.join(_needs(item))}" if _needs(item) else "gives no list of objects"
        raise Unsupported(f"root field {name!r} {why}", hint=_WRITE_IT)
    way, leaves = shape
    chosen = " ".join(leaves)
    if way == "":
        return Written(f"query {{ {name} {{ {chosen} }} }}", {}, name)
    inner = f"nodes {{ {chosen} }}" if way == "nodes" else f"edges {{ node {{ {chosen} }} }}"
    is_sized = "first" in item.args
    declared = "query($first: Int, $after: String)" if is_sized else "query($after: String)"
    given = "first: $first, after: $after" if is_sized else "after: $after"
    query = f"{declared} {{ {name}({given}) {{ {inner} pageInfo {{ hasNextPage endCursor }} }} }}"
    nodes = f"{name}.nodes" if way == "nodes" else f"{name}.edges[*].node"
    return Written(query, {"first": PAGE_SIZE} if is_sized else {}, nodes)


def _shape(item: GraphQLField) -> tuple[str, list[str]] | None:
    """How records stand in a field (a list as it is, `nodes`, `edges`) and their plain fields."""
    from graphql import GraphQLList, GraphQLObjectType, get_named_type, get_nullable_type

    kind = get_nullable_type(item.type)  # type: ignore[arg-type]  # wider than the library says
    if isinstance(kind, GraphQLList):
        leaves = _leaves(get_named_type(kind))
        return ("", leaves) if leaves else None
    if not isinstance(kind, GraphQLObjectType) or "pageInfo" not in kind.fields or "after" not in item.args:
        return None
    if "nodes" in kind.fields:
        leaves = _leaves(get_named_type(kind.fields["nodes"].type))
        return ("nodes", leaves) if leaves else None
    edge = get_named_type(kind.fields["edges"].type) if "edges" in kind.fields else None
    if not isinstance(edge, GraphQLObjectType) or "node" not in edge.fields:
        return None
    leaves = _leaves(get_named_type(edge.fields["node"].type))
    return ("edges", leaves) if leaves else None


def _leaves(kind: Any) -> list[str]:
    """Fields of an object that hold plain values, or lists of them, and need nothing."""
    from graphql import GraphQLObjectType, get_named_type, is_leaf_type

    if not isinstance(kind, GraphQLObjectType):
        return []
    return [name for name, item in kind.fields.items() if is_leaf_type(get_named_type(item.type)) and not _needs(item)]


def _needs(item: GraphQLField) -> list[str]:
    from graphql import is_required_argument

    return [name for name, argument in item.args.items() if is_required_argument(argument)]
