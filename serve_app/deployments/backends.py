"""The API's backends over Serve handles: who retries, who times out, what failures mean.

A stream is awaited up to its first chunk before anything is answered. Until then a dead replica
costs one retry on another; after it nothing is retried, for the listener has heard the beginning.
"""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import grpc
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from serve_app.deployments.status import DeploymentWatch
from serve_app.domain.errors import (
    GenerationFailed,
    GenerationTimedOut,
    ModelNotLoaded,
    Overloaded,
    SpeechServiceError,
)
from serve_app.domain.types import (
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
    ConversionRequest,
    PcmChunk,
    SpeechRequest,
)
from serve_app.settings import LimitSettings

RETRY_AFTER_S = 2
"""What a refused client is told to wait: about the time a full queue takes to move."""

LOOK_EVERY_S = 2.0
"""How long a request waits for its first audio before we look whether anybody can make it."""


class ReplicaLost(Exception):
    """The replica that held a stream died or cannot be reached."""


class HandleSpeechBackend:
    """Speaks through the handle of the Speech deployment."""

    def __init__(
        self, handle: DeploymentHandle[Any], capabilities: Capabilities, limits: LimitSettings
    ) -> None:
        self._status = DeploymentWatch(handle)
        self._calls = _StreamingCalls(handle, "speak", limits, self._status)
        self.capabilities = capabilities

    async def status(self) -> BackendStatus:
        """The replicas of the deployment, as Serve's controller sees them."""
        return await self._status.read()

    def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """See `SpeechBackend`; retries once if a replica dies before its first chunk."""
        return self._calls.stream(request)


class HandleConversionBackend:
    """Converts through the handle of the Conversion deployment."""

    def __init__(
        self,
        handle: DeploymentHandle[Any],
        capabilities: ConversionCapabilities,
        limits: LimitSettings,
    ) -> None:
        self._status = DeploymentWatch(handle)
        self._calls = _StreamingCalls(handle, "convert", limits, self._status)
        self.capabilities = capabilities

    async def status(self) -> BackendStatus:
        """The replicas of the deployment, as Serve's controller sees them."""
        return await self._status.read()

    def convert(self, request: ConversionRequest) -> AsyncGenerator[PcmChunk, None]:
        """See `ConversionBackend`; retries once if a replica dies before its first chunk."""
        return self._calls.stream(request)


class _StreamingCalls:
    """Calls of one streaming method of a deployment."""

    def __init__(
        self,
        handle: DeploymentHandle[Any],
        method: str,
        limits: LimitSettings,
        status: DeploymentWatch,
    ) -> None:
        self._handle = handle.options(stream=True, method_name=method)
        self._limits = limits
        self._status = status

    async def stream(
        self, request: SpeechRequest | ConversionRequest
    ) -> AsyncGenerator[PcmChunk, None]:
        """The chunks of one call, in order."""
        stream, chunk = await self._begin(request)
        try:
            while chunk is not None:
                yield chunk
                chunk = await self._next(stream, self._limits.chunk_timeout_s)
        except ReplicaLost as error:
            raise GenerationFailed("The replica was lost while it was speaking.") from error
        finally:
            stream.cancel()

    async def _begin(
        self, request: SpeechRequest | ConversionRequest
    ) -> tuple[DeploymentResponseGenerator[Any], PcmChunk | None]:
        try:
            return await self._attempt(request)
        except ReplicaLost:
            pass
        try:
            return await self._attempt(request)
        except ReplicaLost as error:
            raise GenerationFailed("Two replicas were lost before they spoke.") from error

    async def _attempt(
        self, request: SpeechRequest | ConversionRequest
    ) -> tuple[DeploymentResponseGenerator[Any], PcmChunk | None]:
        stream = cast(DeploymentResponseGenerator[Any], self._handle.remote(request))
        try:
            return stream, await self._first(stream)
        except BaseException:
            stream.cancel()
            raise

    async def _first(self, stream: DeploymentResponseGenerator[Any]) -> PcmChunk | None:
        """The first chunk; who waits for a replica that cannot start need not wait for long."""
        patience = self._limits.first_chunk_timeout_s
        waiting = asyncio.ensure_future(self._next(stream, patience))
        try:
            while not (await asyncio.wait({waiting}, timeout=LOOK_EVERY_S))[0]:
                status = await self._status.read()
                if status.failure and not status.running:
                    raise ModelNotLoaded(status.failure, retry_after=10)
            return waiting.result()
        finally:
            waiting.cancel()

    async def _next(
        self, stream: DeploymentResponseGenerator[Any], patience: float
    ) -> PcmChunk | None:
        try:
            async with asyncio.timeout(patience):
                return await anext(stream, None)
        except TimeoutError as error:
            raise GenerationTimedOut(f"No audio was made for {patience:g} seconds.") from error
        except (RayError, RayServeException, grpc.RpcError) as error:
            raise _translated(error) from error


def _translated(error: Exception) -> Exception:
    """What a failure of Ray or Serve means to us."""
    match error:
        case BackPressureError():
            return Overloaded(
                "The service is busy.", "Every queue is full; try again.", RETRY_AFTER_S
            )
        case DeploymentUnavailableError():
            return ModelNotLoaded("No replica can start.", "See /api/v1/health.", 10)
        case RayTaskError():
            return _cause_of(error)
        case ActorDiedError() | ActorUnavailableError() | grpc.RpcError():
            return ReplicaLost(str(error))
        case _:
            return GenerationFailed("The audio could not be generated.")


def _cause_of(error: RayTaskError) -> Exception:
    cause = error.cause
    if isinstance(cause, SpeechServiceError):
        return cause
    return GenerationFailed("The engine failed while it was speaking.")
