"""Spark elsewhere than in this process: a master with a worker, and a server of Spark Connect, both on loopback."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.spark.cases_at import CHOSEN

from data_workbench.settings import Settings
from data_workbench.transforms.spark.session import surroundings

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def spark_class(folder: Path, name: str, *arguments: str, shown: str) -> Iterator[str]:
    """One of Spark's programs, once its log says `shown`; what the words' first group matched."""
    import pyspark

    home = Path(pyspark.__file__).parent
    log = folder / f"{name.rpartition('.')[2]}.log"
    with surroundings(Settings(home=folder)):
        environment = {
            **os.environ,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "600m",
        }
    with log.open("wb") as out:
        program = subprocess.Popen(
            [str(home / "bin" / "spark-class"), name, *arguments],
            env=environment, cwd=folder, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield _told(program, log, shown)
    finally:
        program.terminate()
        program.wait(60)


def _told(program: subprocess.Popen[bytes], log: Path, shown: str) -> str:
    for _ in range(2400):
        found = re.search(shown, log.read_text(errors="replace"))
        if found:
            return found.group(1)
        assert program.poll() is None, log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)
    raise AssertionError(f"{shown} is not in {log.read_text(errors='replace')[-2000:]}")


def run_cases(master: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.spark.cases_at", master, str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_golden_cases_come_out_on_a_cluster_as_written(tmp_path: Path) -> None:
    """The executors are other processes than the driver's, and so is their Python."""
    package = "org.apache.spark.deploy"
    listening = ("--host", "127.0.0.1", "--port", str(free_port()), "--webui-port", "0")
    with spark_class(
        tmp_path, f"{package}.master.Master", *listening, shown=r"Starting Spark master at (\S+)"
    ) as master:
        worker = ("--host", "127.0.0.1", "--cores", "2", "--memory", "600m", "--webui-port", "0", "-d", str(tmp_path))
        with spark_class(
            tmp_path, f"{package}.worker.Worker", *worker, master, shown=r"(Successfully registered) with master"
        ):
            assert run_cases(master, tmp_path).count("as written:") == len(CHOSEN)


@pytest.mark.timeout(600)
def test_golden_cases_come_out_over_spark_connect_as_written(tmp_path: Path) -> None:
    """The driver is a server; this side has no Java."""
    port = free_port()
    options = [
        f"spark.connect.grpc.binding.port={port}", "spark.connect.grpc.binding.address=127.0.0.1",
        "spark.ui.enabled=false", "spark.driver.memory=600m", "spark.driver.bindAddress=127.0.0.1",
        "spark.driver.host=127.0.0.1", f"spark.pyspark.python={sys.executable}",
    ]  # fmt: skip
    given = [part for option in options for part in ("--conf", option)]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    with spark_class(
        tmp_path, "org.apache.spark.deploy.SparkSubmit", "--master", "local[2]", *given, "--class", server,
        "spark-internal", shown=r"Spark Connect server (started)",
    ):  # fmt: skip
        assert run_cases(f"sc://127.0.0.1:{port}", tmp_path).count("as written:") == len(CHOSEN)
