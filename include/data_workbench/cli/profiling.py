"""`profile`: what stands in a dataset, in numbers; set against another or an earlier profile; as a contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_workbench.cli.answer import command, say_json, say_table
from data_workbench.cli.root import root
from data_workbench.cli.session import Session
from data_workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from data_workbench.pipelines.stores import Stores

_SHOWN = 40


@command(root, "profile")
@click.argument("dataset")
@click.option("--columns", metavar="A,B", help="Only these columns.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Read at most N rows.")
@click.option("--suggest-contract", is_flag=True, help="A contract that the rows keep, as YAML to be read first.")
@click.option("--compare", "other", metavar="OTHER", help="What differs from another dataset, CONNECTION:DATASET.")
@click.option("--against", metavar="LAST", help="What differs from an earlier profile: last, or a profile's number.")
def profile_command(
    dataset: str,
    columns: str | None,
    sample: int | None,
    suggest_contract: bool,
    other: str | None,
    against: str | None,
    as_json: bool,
) -> None:
    """Count, measure and describe what stands in CONNECTION:DATASET; the profile is kept."""
    from data_workbench.pipelines.stores import Stores
    from data_workbench.records.arrow import prepare_process

    prepare_process()
    if other and against:
        raise UsageError("--compare and --against ask for two comparisons", hint="give one of them")
    session = Session()
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else None
    before = _earlier(session, dataset, against) if against else None
    with Stores(session.connections, session.settings) as stores:
        taken = _profiled(session, stores, dataset, chosen, sample)
        if other:
            before = _profiled(session, stores, other, chosen, sample)
        document: dict[str, Any] = {"profile": taken | {"id": _kept(session, stores, taken)}}
    if before is not None:
        document["comparison"] = _compared(before, taken)
    if suggest_contract:
        document["contract"] = _suggested(taken)
    if as_json:
        say_json(document)
    else:
        _say(document)


def _profiled(
    session: Session, stores: Stores, dataset: str, columns: tuple[str, ...] | None, sample: int | None
) -> dict[str, Any]:
    from data_workbench.quality.profiling import Asked, profile

    connection, stream = split_dataset(dataset)
    asked = Asked(connection, stream, columns, sample, hidden_columns(session, dataset))
    return profile(stores.observed(connection), asked, session.settings)


def split_dataset(dataset: str) -> tuple[str, str]:
    """Connection and stream; a connection may be a URL.

    Raises:
        UsageError: it is not of the form.
    """
    connection, _, stream = dataset.rpartition(":") if "://" in dataset else dataset.partition(":")
    if not connection or not stream or stream.startswith("//"):
        raise UsageError(
            f"{dataset!r} is no dataset", hint="write CONNECTION:DATASET, such as odras_postgres:public.files"
        )
    return connection, stream


def hidden_columns(session: Session, dataset: str) -> dict[str, str]:
    """Columns of a dataset whose values are not shown.

    Raises:
        DefinitionError: a pipeline or contract file is broken and classifies columns: nobody knows which.
    """
    from data_workbench.pipelines.classification import CLASSIFIED
    from data_workbench.pipelines.hidden_columns import HiddenColumns

    return dict.fromkeys(HiddenColumns(session.settings)(dataset), CLASSIFIED)


def _earlier(session: Session, dataset: str, against: str) -> dict[str, Any]:
    from data_workbench.metastore import profiles

    connection, stream = split_dataset(dataset)
    with session.metastore as metastore:
        if against.isdigit():
            found = profiles.get(metastore, int(against))
        else:
            found = next(iter(profiles.latest(metastore, f"{connection}:{stream}")), None)
    if found is None:
        raise UsageError(
            f"no profile {against!r} of {dataset} is kept", hint=f"take one first: workbench profile {dataset}"
        )
    return found.profile


def _kept(session: Session, stores: Stores, taken: dict[str, Any]) -> int | None:
    """Keep it; a profile is told without the metastore, too."""
    from data_workbench.connectors.metastore import open_metastore
    from data_workbench.pipelines.telling_trouble import Telling
    from data_workbench.quality.drivers import Drivers
    from data_workbench.quality.keeping import keep_profile, watch

    try:
        with open_metastore(session.connections.get(session.settings.metastore)) as metastore:
            metastore.check()
            number = keep_profile(metastore, taken)
            hidden = hidden_columns(session, taken["dataset"])
            found_by = Drivers(lambda: stores.observed(taken["connection"]), taken["stream"], hidden, session.settings)
            watch(metastore, taken["dataset"], found_by)
            Telling(metastore, session.settings).of_metrics(taken["dataset"], None, is_broken=False)
            return number
    except WorkbenchError as error:
        click.echo(f"not kept: {error.message}", err=True)
        return None


def _compared(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    from data_workbench.quality.profiling import compare

    return compare(before, now)


def _suggested(taken: dict[str, Any]) -> dict[str, Any]:
    from data_workbench.quality.profiling import suggest

    return suggest(taken)


def _say(document: dict[str, Any]) -> None:
    taken = document["profile"]
    if contract := document.get("contract"):
        import yaml

        head = f"# proposed from {taken['rows']:,} rows read at {taken['taken']}; read it before you rely on it\n"
        click.echo(head + yaml.safe_dump(contract, sort_keys=False, allow_unicode=True), nl=False)
        return
    if comparison := document.get("comparison"):
        told = [
            (one["column"], one["what"], _cell(one["before"]), _cell(one["now"]), f"{one['distance']:.3f}")
            for one in comparison["differences"]
        ]
        say_table(("column", "what", "before", "now", "distance"), told, title="what differs")
        if not told:
            click.echo("nothing differs by more than the profiles may err")
        return
    rows = [_row(name, told) for name, told in taken["columns"].items()]
    of_all = f" of {taken['stream_rows']:,}, the newest ones," if taken.get("stream_rows") is not None else ""
    title = f"{taken['dataset']}: {taken['rows']:,}{of_all} rows in {taken['seconds']:.1f} s"
    say_table(("column", "type", "nulls", "distinct", "least", "greatest", "most frequent"), rows, title=title)
    for name, words in _beside(taken):
        click.echo(f"{name}: {words}")


def _row(name: str, told: dict[str, Any]) -> tuple[Any, ...]:
    if told.get("hidden") == "redacted":
        return (name, told["type"], None, None, "redacted", "redacted", "")
    distinct = told.get("distinct")
    about = "" if distinct is None else f"{'' if distinct['method'] == 'exact' else '~'}{distinct['value']:,}"
    share = "" if told.get("null_share") is None else f"{told['null_share']:.1%}"
    if told.get("hidden"):
        return (name, told["type"], share, about, told["hidden"], told["hidden"], "")
    if "dimensions" in told:
        norms = told.get("norms", {})
        about = f"{told['vectors'] - told['duplicates']:,}"
        return (name, told["type"], share, about, norms.get("0.0"), norms.get("1.0"), "norms")
    top = ", ".join(f"{_cell(one['value'])} ({one['count']:,})" for one in told.get("top", [])[:3])
    return (name, told["type"], share, about, _cell(told.get("min")), _cell(told.get("max")), top)


def _beside(taken: dict[str, Any]) -> list[tuple[str, str]]:
    """What a graph has beside columns, in words."""
    graph = taken.get("graph")
    if not graph:
        return []
    told = {**graph.get("degrees", {}), **{name: graph[name] for name in ("out_degree", "in_degree") if name in graph}}
    found = [
        (name, f"{one['mean']} on average, at most {one['quantiles'].get('1.0', 0):.0f}, {one['without']:,} without")
        for name, one in told.items()
    ]
    pieces = graph["components"]
    largest = ", ".join(f"{size:,}" for size in pieces["largest"][:3])
    return [*found, ("pieces", f"{pieces['count']:,}, the largest of {largest or 0} nodes")]


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
