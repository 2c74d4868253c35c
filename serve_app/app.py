"""The wiring: configuration in, Serve application out."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from typing import Any

from ray.serve import Application

from serve_app.deployments.conversion import ConversionDeployment
from serve_app.deployments.ingress import IngressDeployment
from serve_app.deployments.speech import SpeechDeployment
from serve_app.settings import Settings


def build(args: dict[str, Any]) -> Application:
    """The `import_path` of every config file; `args` are `Settings`.

    Raises:
        pydantic.ValidationError: a setting is unknown or out of range.
    """
    settings = Settings(**args)
    speech = SpeechDeployment.bind(settings)
    conversion = ConversionDeployment.bind(settings, speech)
    return IngressDeployment.bind(settings, speech, conversion)
