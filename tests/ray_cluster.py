"""`python ray_cluster.py DASHBOARD_PORT`: a Ray of a head and as many more nodes as are asked for, until input ends.

Told by lines on standard input: `add NAME RESOURCE` (a node that has four of it), `kill NAME`. Says `ready` and `done`.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from ray.cluster_utils import Cluster


def apart() -> dict[str, Any]:
    """What a node needs in order to live beside another Ray of this machine: a port of its own, and little memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"dashboard_agent_listen_port": probe.getsockname()[1], "object_store_memory": 100 << 20}


def main(port: int) -> None:
    head: dict[str, Any] = {"num_cpus": 8, "include_dashboard": True, "dashboard_port": port, **apart()}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes: dict[str, Any] = {}
    try:
        print("ready", flush=True)
        for line in sys.stdin:
            what, name, *resource = line.split()
            if what == "add":
                has: dict[str, Any] = dict.fromkeys(resource, 4)
                node: dict[str, Any] = {"num_cpus": 2, "resources": has, **apart()}
                nodes[name] = cluster.add_node(**node)
            else:
                cluster.remove_node(nodes.pop(name), allow_graceful=False)
            print("done", flush=True)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(int(sys.argv[1]))
