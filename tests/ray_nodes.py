"""Ray's own cluster on this machine, for tests that need several nodes.

They are skipped where Ray is not installed, but not with SMALL_PLATES_REQUIRE_RAY=1.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.visitor import free_port

THERE = importlib.util.find_spec("ray") is not None
REQUIRED = os.environ.get("SMALL_PLATES_REQUIRE_RAY", "") not in ("", "0")
needs_ray = pytest.mark.skipif(
    not THERE and not REQUIRED,
    reason="Ray is not installed: pip install -r requirements-cluster.txt",
)


@contextmanager
def ray_nodes(n: int) -> Iterator[Any]:
    """A cluster of a head and `n` nodes with a core each; its `address`, and a list of `nodes`.

    The head only keeps the books: it may not be lost, and so gets no work.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "180")  # a machine with other work, too
        from ray.cluster_utils import Cluster

        cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            cluster.nodes = [cluster.add_node(num_cpus=1) for _node in range(n)]
            cluster.wait_for_nodes()
            yield cluster
        finally:
            cluster.shutdown()


@contextmanager
def started_by_hand(home: Path) -> Iterator[str]:
    """`ray start --head` as a user with this home types it, locked with a token; its address."""
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    environment = {**os.environ, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([*ray, "get-auth-token", "--generate"], env=environment, check=True)
    port = free_port()
    options = ["--head", "--block", "--num-cpus=1", "--include-dashboard=false"]
    options += ["--node-ip-address=127.0.0.1", f"--port={port}"]
    log = home / "ray.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*ray, "start", *options], env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        deadline = monotonic() + 180
        while b"Ray runtime started" not in log.read_bytes():
            assert process.poll() is None and monotonic() < deadline, log.read_text()
            sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
