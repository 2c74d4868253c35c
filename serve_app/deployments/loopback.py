"""Keeps a one-machine run off the network: see docs/adr/0003-local-run-on-loopback.md."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import ipaddress
from typing import Any

import ray
from ray.serve._private import replica


def keep_replica_ports_on_loopback() -> None:
    """Bind the port that Serve opens for calls between replicas to loopback, on a loopback node.

    Serve 2.60 binds it to every address whatever the node's own address is. It is opened after the
    constructor of a deployment has run, which is where this is called. On a cluster, whose nodes
    have real addresses, nothing changes.
    """
    if ipaddress.ip_address(ray.util.get_node_ip_address()).is_loopback:
        replica.add_port_to_grpc_server = _add_loopback_port  # pyright: ignore[reportPrivateImportUsage]


def _add_loopback_port(server: Any, address: str) -> int:
    from ray._common.tls_utils import add_port_to_grpc_server

    _, _, port = address.rpartition(":")
    return add_port_to_grpc_server(server, f"127.0.0.1:{port}")
