"""Spans as a collector receives them: from a command over OTLP, and inside a task of Airflow's below the task's own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.pipelines.conftest import Site

TEXT = """
version: 1
pipeline: spanned
sources: {rows: {connection: pg, stream: public.rows, key: [id]}}
contract: {rows: {columns: {name: {pattern: "^row"}}, on_invalid: quarantine}}
destinations:
  table: {connection: pg, table: public.rows_copy, key: id}
  file: {connection: files, file: out/rows.jsonl, write: replace}
"""
STAGES = {"workbench stage", "workbench load.table", "workbench load.file", "workbench reconcile"}


class Collector(HTTPServer):
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receives)
        self.spans: list[Any] = []
        self.services: set[str] = set()

    def named(self) -> dict[str, Any]:
        return {one.name: one for one in self.spans}


class _Receives(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        import gzip

        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        assert isinstance(self.server, Collector)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rows(site: Site) -> None:
    site.sql("CREATE TABLE rows (id int PRIMARY KEY, name text)")
    site.sql("INSERT INTO rows SELECT n, 'row ' || n FROM generate_series(1, 20) n")
    site.sql("INSERT INTO rows VALUES (21, 'hidden-word')")


def attributes(one: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in one.attributes}


def test_a_command_sends_a_run_its_stages_and_its_loads(site: Site, rows: None, collector: Collector) -> None:
    parent = {"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    place = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}", "NO_PROXY": "127.0.0.1"}
    code, document, told = site.command("run", site.file(TEXT), **place, **parent)
    assert code == 0, told
    found = collector.named()
    assert set(found) == {"workbench run", *STAGES}
    assert collector.services == {"data-workbench"}
    run = found["workbench run"]
    assert run.parent_span_id.hex() == "b7ad6b7169203331"
    assert {one.trace_id.hex() for one in collector.spans} == {"0af7651916cd43dd8448eb211c80319c"}
    for name in STAGES:
        assert found[name].parent_span_id == run.span_id, name
        told_of = attributes(found[name])
        assert told_of["workbench.run_id"] == document["run_id"]
        assert told_of["workbench.pipeline"] == "spanned"
    staged, loaded = attributes(found["workbench stage"]), attributes(found["workbench load.table"])
    assert (staged["workbench.rows_in"], staged["workbench.quarantined"]) == (21, 1)
    assert (loaded["workbench.rows_in"], loaded["workbench.attempt"]) == (20, 1)
    assert "hidden-word" not in str(collector.spans)


def test_a_run_that_fails_says_so_in_its_span(site: Site, rows: None, collector: Collector) -> None:
    place = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.server_port}/v1/traces"}
    failing = site.file(TEXT.replace("on_invalid: quarantine", "on_invalid: fail"))
    code, document, _ = site.command("run", failing, **place, NO_PROXY="127.0.0.1")
    assert code == 1
    found = collector.named()
    assert set(found) == {"workbench run", "workbench stage"}
    for one in found.values():
        assert one.status.code == 2
        assert one.status.message.startswith(document["error"]["kind"])
        assert not one.events, "no traceback"


def test_inside_a_task_of_airflows_the_stage_is_a_child_of_the_tasks_span(site: Site, rows: None) -> None:
    """Airflow sets a global provider up and makes the task's span current (`task_runner._make_task_span`)."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider  # set_tracer_provider takes one a process
    try:
        runner = site.runner()
        run_id = runner.begin(site.definition(TEXT), params={}, orchestrator="airflow", run_id="spanned__x")
        for task, do in (("stage", runner.stage), ("load.table", lambda one: runner.load(one, "table"))):
            with provider.get_tracer("airflow").start_as_current_span(f"worker.{task}"):
                do(run_id)
    finally:
        trace._TRACER_PROVIDER = before
    found = {one.name: one for one in exporter.get_finished_spans()}
    assert set(found) == {"worker.stage", "workbench stage", "worker.load.table", "workbench load.table"}
    for task in ("stage", "load.table"):
        inner, outer = found[f"workbench {task}"], found[f"worker.{task}"]
        assert inner.parent is not None
        assert inner.parent.span_id == outer.context.span_id
        assert (inner.attributes or {})["workbench.rows_in"] in (20, 21)


def test_switched_off_nothing_of_opentelemetry_is_imported(site: Site, rows: None) -> None:
    program = (
        "import sys; from data_workbench.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end\n"
        "found = [name for name in sys.modules if name.startswith('opentelemetry')]\nassert not found, found"
    )
    # Without a contract: Soda, which is asked about one, imports it for its own sake, and is kept from using it.
    bare = "\n".join(line for line in TEXT.splitlines() if not line.startswith("contract"))
    command = [sys.executable, "-c", program, "run", site.file(bare)]
    kept = {name: value for name, value in site.environment().items() if not name.startswith("OTEL_")}
    done = subprocess.run(command, env=kept, cwd=site.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_collector_that_is_away_fails_nothing(site: Site, rows: None) -> None:
    place = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    code, document, _ = site.command("run", site.file(TEXT), **place, NO_PROXY="127.0.0.1")
    assert (code, document["state"]) == (0, "success")
