"""Chatterbox with random weights in upstream's shapes; run by `make test-chatterbox`.

The base environment has no torch: there nothing of this folder is collected.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("chatterbox") else ["test_*.py"]

_OF_UPSTREAM = (
    "ignore:pkg_resources is deprecated as an API:UserWarning",
    "ignore:`LoRACompatibleLinear` is deprecated:FutureWarning",
    "ignore:`torch.backends.cuda.sdp_kernel:FutureWarning",
    "ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning",
    "ignore:Deprecated call to `pkg_resources.declare_namespace:DeprecationWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _OF_UPSTREAM:
        config.addinivalue_line("filterwarnings", line)
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
