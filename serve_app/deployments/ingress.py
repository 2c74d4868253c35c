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
from serve_app.api.opening import open_services
from serve_app.deployments.backends import HandleConversionBackend, HandleSpeechBackend
from serve_app.deployments.loopback import keep_replica_ports_on_loopback
from serve_app.deployments.metrics import RayRecorder
from serve_app.engines.registry import conversion_capabilities, speech_capabilities
from serve_app.settings import Settings


@serve.deployment(name="Ingress")
@serve.ingress()
class IngressDeployment:
    """Builds the API over the other deployments' handles."""

    def __init__(
        self,
        settings: Settings,
        speech: DeploymentHandle[Any],
        conversion: DeploymentHandle[Any],
    ) -> None:
        keep_replica_ports_on_loopback()
        self._settings = settings
        self._speech = HandleSpeechBackend(
            speech, speech_capabilities(settings.engine.name), settings.limits
        )
        self._conversion = HandleConversionBackend(
            conversion, conversion_capabilities(settings.conversion.name), settings.limits
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve once this replica is constructed."""
        recorder = RayRecorder()
        return create_app(
            self._settings,
            lambda: open_services(self._settings, self._speech, self._conversion, recorder),
        )
