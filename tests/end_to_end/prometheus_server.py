"""A real Prometheus in a directory of the test's own, which scrapes what it is told to."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import HOME
from tests.programs import program
from tests.waiting import wait_until

RULES = HOME / "contrib" / "prometheus-rules.yml"


class Prometheus:
    """Answers queries about what was scraped."""

    def __init__(self, port: int) -> None:
        self.port = port

    def query(self, expression: str, at: float | None = None) -> dict[frozenset[str], float]:
        """Return the values of an instant query, by the labels as `name=value`."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        query = urlencode({"query": expression, **moment})
        answer = fetch(self.port, f"/api/v1/query?{query}")
        assert answer.status == 200, answer.body
        return {
            frozenset(f"{name}={value}" for name, value in row["metric"].items()): float(
                row["value"][1]
            )
            for row in self._rows(json.loads(answer.body))
        }

    def value(self, expression: str, at: float | None = None) -> float | None:
        """Return the one value of an instant query, None when there is none."""
        values = list(self.query(expression, at).values())
        assert len(values) <= 1, expression
        return values[0] if values else None

    @staticmethod
    def _rows(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        data = document["data"]
        assert data["resultType"] == "vector", data
        rows: Sequence[Mapping[str, Any]] = data["result"]
        return rows


@contextmanager
def prometheus_running(
    directory: Path, token: str, hosts: Sequence[str], files: str
) -> Iterator[Prometheus]:
    """Scrape *hosts* (HOST:PORT) each second, and *files* for the store, as the guide says."""
    found = program("prometheus")
    token_file = directory / "token"
    token_file.write_text(token)
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": job,
                "metrics_path": path,
                "authorization": {"credentials_file": str(token_file)},
                "static_configs": [{"targets": targets}],
            }
            for job, path, targets in (
                ("tally", "/-/tally/metrics", list(hosts)),
                ("tally-files", "/-/tally/metrics/files", [files]),
            )
        ],
    }
    file = directory / "prometheus.yml"
    file.write_text(json.dumps(configuration))  # JSON is YAML
    log = directory / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [found, f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}",
             "--web.listen-address=127.0.0.1:0"],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            sockets = psutil.Process(process.pid).net_connections("tcp")
            return next((each.laddr.port for each in sockets if each.status == "LISTEN"), 0)

        server = Prometheus(wait_until(port, message="Prometheus's port"))
        wait_until(
            lambda: fetch(server.port, "/-/ready").status == 200, message="Prometheus's start"
        )
        yield server
    finally:
        process.kill()
        process.wait()
