"""How many replicas a deployment has, asked of Serve's controller at most once a second."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

from ray import serve
from ray.serve._private.common import DeploymentStatus
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import DeploymentStatusOverview, ServeStatus

from serve_app.domain.types import BackendStatus

_FRESH_FOR = 1.0  # seconds
_RAISED = re.compile(r"^(?:\w+\.)*(\w+): ", re.MULTILINE)  # the last line of a traceback


class DeploymentWatch:
    """A cached view of one deployment of the application this process belongs to."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._deployment = handle.deployment_name
        self._application = handle.app_name
        self._read_at = float("-inf")
        self._status = BackendStatus(running=0, starting=0)
        self._lock = asyncio.Lock()

    async def read(self) -> BackendStatus:
        """The replicas that run and that start."""
        async with self._lock:
            if time.monotonic() - self._read_at > _FRESH_FOR:
                self._status = self._summary(await asyncio.to_thread(serve.status))
                self._read_at = time.monotonic()
        return self._status

    def _summary(self, status: ServeStatus) -> BackendStatus:
        application = status.applications.get(self._application)
        deployments = application.deployments if application else {}
        overview = deployments.get(self._deployment)
        return _summary_of(overview) if overview else BackendStatus(running=0, starting=0)


def _summary_of(overview: DeploymentStatusOverview) -> BackendStatus:
    counts = cast(dict[str, int], overview.replica_states)  # its keys equal their names
    return BackendStatus(
        running=counts.get("RUNNING", 0),
        starting=counts.get("STARTING", 0) + counts.get("UPDATING", 0),
        failure=_failure(overview),
    )


def _failure(overview: DeploymentStatusOverview) -> str | None:
    """Why replicas do not start, without what a traceback would tell of this machine.

    One that died is no such failure: another is started.
    """
    failed = overview.status is DeploymentStatus.DEPLOY_FAILED
    if not failed and "failed to start" not in overview.message:
        return None
    raised = _RAISED.findall(overview.message)
    reason = f" ({raised[-1]})" if raised else ""
    return f"Replicas fail to start{reason}; the log of the deployment says more."
