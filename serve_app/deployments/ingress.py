"""The ingress deployment: the HTTP API in front of the handles. CPU only."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportUntypedClassDecorator=false

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.api.app import create_app
from serve_app.api.services import Services
from serve_app.audio.transcode import transcode
from serve_app.deployments.backends import HandleSpeechBackend
from serve_app.deployments.loopback import keep_replica_ports_on_loopback
from serve_app.deployments.metrics import RayRecorder
from serve_app.engines.registry import speech_capabilities
from serve_app.library.outputs import OutputLibrary
from serve_app.settings import Settings


@serve.deployment(name="Ingress")
@serve.ingress()
class IngressDeployment:
    """Builds the API over the other deployments' handles."""

    def __init__(self, settings: Settings, speech: DeploymentHandle[Any]) -> None:
        keep_replica_ports_on_loopback()
        self._services = Services(
            settings=settings,
            speech=HandleSpeechBackend(
                speech, speech_capabilities(settings.engine.name), settings.limits
            ),
            outputs=OutputLibrary(
                settings.storage.outputs_dir, transcode, settings.limits.output_wait_s
            ),
            recorder=RayRecorder(),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once this replica is constructed."""
        return create_app(self._services)
