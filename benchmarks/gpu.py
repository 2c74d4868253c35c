"""Chatterbox on a GPU: steps, windows, streams held in real time, and upstream's `generate` beside.

`python -m benchmarks.gpu --json docs/figures/gpu.json`, in the environment of `make
test-chatterbox`, takes under ten minutes on an H100. `--tiny --device cpu` runs the same code with
models of a layer or two, to see that it runs; its figures mean nothing.

The models have the released shapes and random weights; T3 is in bfloat16, S3Gen in float32. Figures
begin with `base` (English) or `turbo`. They are saved after each section, so that a run that is cut
off leaves what it measured.
"""

from __future__ import annotations

import argparse
import gc
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from benchmarks import gpu_rig
from benchmarks.gpu_layers import s3gen_windows, t3_steps
from benchmarks.gpu_rig import Rig, Scale
from benchmarks.gpu_streams import first_audio, real_time_streams, speak
from benchmarks.gpu_upstream import against_upstream
from benchmarks.report import (
    Bound,
    Figures,
    Machine,
    Target,
    make_parser,
    print_table,
    print_targets,
    save_json,
)
from serve_app.engines.chatterbox.models import Family

MODELS = {"base": Family.ENGLISH, "turbo": Family.TURBO}
SECTIONS: dict[str, Callable[[Rig], Figures]] = {
    "t3": t3_steps,
    "s3gen": s3gen_windows,
    "first": first_audio,
    "streams": real_time_streams,
    "upstream": against_upstream,
}
TARGETS = (
    *(
        Target(f"{model}_t3_step_{size}_ms", Bound.AT_MOST, milliseconds)
        for model in MODELS
        for size, milliseconds in ((1, 2), (16, 2.5), (64, 4))
    ),
    Target("base_first_audio_ms_p50", Bound.AT_MOST, 100),
    Target("turbo_first_audio_ms_p50", Bound.AT_MOST, 60),
    Target("base_streams_held", Bound.AT_LEAST, 40),
    Target("turbo_streams_held", Bound.AT_LEAST, 150),
)


@dataclass(frozen=True)
class GpuMachine(Machine):
    """Where it was measured, the GPU included."""

    gpu: str
    gpu_memory_gb: float
    driver: str
    torch: str
    cuda: str
    matmul: str  # precision of products in float32; "high" is TF32

    @classmethod
    def with_device(cls, device: str) -> GpuMachine:
        """Look at this machine now, and at one of its devices."""
        name, memory = "none", 0
        if device.startswith("cuda"):
            properties = torch.cuda.get_device_properties(device)
            name, memory = properties.name, properties.total_memory
        return cls(
            **asdict(Machine.this_one()),
            gpu=name,
            gpu_memory_gb=round(memory / 2**30, 1),
            driver=_driver(),
            torch=torch.__version__,
            cuda=str(torch.version.cuda),
            matmul=torch.get_float32_matmul_precision(),
        )


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip().split("\n")[0] or "unknown"


def measurements(options: argparse.Namespace, scale: Scale) -> Iterator[Figures]:
    """The figures of each section, of one model after the other."""
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            for figures in _model_measurements(options, scale, MODELS[model], Path(folder)):
                yield {f"{model}_{name}": number for name, number in figures.items()}
        gc.collect()  # of what is in cycles: the next model needs the memory
        torch.cuda.empty_cache()


def _model_measurements(
    options: argparse.Namespace, scale: Scale, family: Family, folder: Path
) -> Iterator[Figures]:
    weights = gpu_rig.make_weights(family, scale, folder)
    started = time.perf_counter()
    rig = gpu_rig.build(family, scale, weights, options.device)
    built = time.perf_counter()
    _warm_up(rig)
    yield {"loading_s": built - started, "warm_up_s": time.perf_counter() - built}
    yield {"slots": rig.options.slots, "batch": rig.options.batch}
    for name in options.sections:
        yield _measured(name, rig)


def _warm_up(rig: Rig) -> None:
    """What the engine does before it serves, then a request, for what is slow the first time in
    between."""
    rig.decoder.warm_up()
    rig.parts.warm_up(rig.options.batch)
    speak(rig, 1, rig.scale.stream_seconds / 2)


def _measured(section: str, rig: Rig) -> Figures:
    """The figures of a section, how long it took, and the most memory that tensors took of a GPU
    meanwhile."""
    on_gpu = rig.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(rig.device)
    started = time.perf_counter()
    figures = {**SECTIONS[section](rig), f"{section}_took_s": time.perf_counter() - started}
    if on_gpu:
        peak = torch.cuda.max_memory_allocated(rig.device)
        figures[f"{section}_peak_memory_gb"] = peak / 2**30
    return figures


def parse() -> argparse.Namespace:
    """The options; ends the process where they ask for a GPU and there is none."""
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1; cpu with --tiny")
    parser.add_argument("--tiny", action="store_true", help="models of a layer or two")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--batch", type=int, help="windows of S3Gen at once, instead of 8")
    parser.add_argument("--tf32", action="store_true", help="let float32 products be TF32")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        parser.error("no GPU: only --tiny --device cpu runs without one")
    if not on_gpu and not options.tiny:
        parser.error("no GPU: a whole model would take hours; give --tiny, too")
    return options


def scale_of(options: argparse.Namespace) -> Scale:
    """How much is measured."""
    scale = gpu_rig.QUICK if options.quick else gpu_rig.FULL
    scale = gpu_rig.TINY if options.tiny else scale
    if options.batch:
        scale = replace(scale, options={**scale.options, "batch": options.batch})
    return scale


def main() -> None:
    """Measure and publish."""
    options = parse()
    if options.tf32:
        torch.set_float32_matmul_precision("high")
    machine = GpuMachine.with_device(options.device)
    figures: dict[str, float] = {}
    for found in measurements(options, scale_of(options)):
        print_table(("figure", ""), [(name, f"{number:.4g}") for name, number in found.items()])
        sys.stdout.flush()
        figures |= found
        if options.json:
            save_json(options.json, figures, machine)
    print_targets(figures, TARGETS)


if __name__ == "__main__":
    main()
