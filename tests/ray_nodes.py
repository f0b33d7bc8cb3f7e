"""Ray's own cluster on this machine, for tests that need several nodes.

They are skipped where Ray is not installed, but not with SMALL_PLATES_REQUIRE_RAY=1.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

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
