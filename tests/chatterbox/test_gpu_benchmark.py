"""The GPU benchmark without a GPU: the same code with tiny models, and its instruments."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, gpu_rig
from benchmarks.gpu_rig import TINY, Rig
from benchmarks.gpu_streams import Audience, Listener, largest, real_time_streams, speak
from serve_app.engines.chatterbox.models import Family

MODELS = ("base", "turbo")
FIGURES = {
    "loading_s",
    "warm_up_s",
    "slots",
    "batch",
    "t3_step_1_ms",
    "t3_step_3_ms",
    "t3_step_3_without_graphs_ms",
    "s3gen_batch_1_hop_15_ms",
    "s3gen_batch_1_hop_15_audio_s_per_s",
    "s3gen_batch_2_hop_15_ms",
    "s3gen_batch_2_hop_15_audio_s_per_s",
    "first_audio_ms_p50",
    "first_audio_ms_p95",
    "streams_held",
    "streams_dry",
    "streams_worst_margin_s",
    "streams_first_audio_ms_p50",
    "streams_first_audio_ms_p95",
    "upstream_audio_s_per_s",
    "alone_audio_s_per_s",
    "throughput_audio_s_per_s",
    "alone_against_upstream",
    "throughput_against_upstream",
    *(f"{section}_took_s" for section in gpu.SECTIONS),
}
COUNTS = {"streams_held", "streams_dry"}
OF_ANY_SIGN = {"streams_worst_margin_s"}


@dataclass(frozen=True)
class Done:
    """A run of the benchmark with tiny models, in a process of its own."""

    printed: str
    record: dict[str, Any]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Done:
    saved = tmp_path_factory.mktemp("tiny") / "gpu.json"
    options = ["--tiny", "--device", "cpu", "--json", str(saved)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Done(done.stdout, json.loads(saved.read_text()))


@pytest.fixture(scope="module")
def figures(tiny: Done) -> dict[str, float]:
    return tiny.record["figures"]


@pytest.fixture(scope="module")
def rig() -> Rig:
    folder = gpu_rig.make_weights(Family.ENGLISH, TINY, Path())
    return gpu_rig.build(Family.ENGLISH, replace(TINY, patience_seconds=0.0), folder, "cpu")


def test_every_figure_is_measured_for_each_model(figures: dict[str, float]) -> None:
    assert figures.keys() == {f"{model}_{name}" for model in MODELS for name in FIGURES}


def test_figures_are_finite_and_of_the_right_sign(figures: dict[str, float]) -> None:
    for name, number in figures.items():
        assert math.isfinite(number), name
        short = name.partition("_")[2]
        assert short in OF_ANY_SIGN or number > 0 or (number == 0 and short in COUNTS), name


@pytest.mark.parametrize("model", MODELS)
def test_ratios_are_of_the_rates_beside_them(figures: dict[str, float], model: str) -> None:
    upstream = figures[f"{model}_upstream_audio_s_per_s"]
    for ours in ("alone", "throughput"):
        ratio = figures[f"{model}_{ours}_audio_s_per_s"] / upstream
        assert figures[f"{model}_{ours}_against_upstream"] == pytest.approx(ratio, rel=1e-2)


def test_a_figure_that_misses_its_target_is_marked(tiny: Done, figures: dict[str, float]) -> None:
    lines = {line.split()[0]: line for line in tiny.printed.splitlines() if "= " in line}
    verdicts = {target.figure: lines[target.figure] for target in gpu.TARGETS}
    for target in gpu.TARGETS:
        number = figures.get(target.figure)
        reached = number is not None and target.is_reached(number)
        assert verdicts[target.figure].endswith("reached") == reached
        assert verdicts[target.figure].endswith("MISSED") == (number is not None and not reached)
    assert verdicts["turbo_streams_held"].endswith("MISSED")  # two are the most that are tried


def test_the_machine_is_told(tiny: Done) -> None:
    machine = tiny.record["machine"]
    assert machine["gpu"] == "none"
    assert machine["torch"]
    assert machine["driver"]
    assert tiny.record["date"].startswith("20")


@pytest.mark.parametrize("options", [["--quick"], ["--device", "cpu"], ["--tiny"]], ids=str)
def test_without_a_gpu_nothing_is_measured(
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved = tmp_path / "gpu.json"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", *options, "--json", str(saved)])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    assert "no GPU" in capsys.readouterr().err
    assert not saved.exists()


@pytest.mark.parametrize("capacity", [0, 1, 7, 16, 40, 63, 150, 511])
def test_the_search_finds_what_can_be_held(capacity: int) -> None:
    held, dry = largest(lambda count: count <= capacity, 16, 512, lambda: True)
    assert held <= capacity < dry
    assert dry - held <= max(1, held / 20)


def test_the_search_ends_where_everything_is_held() -> None:
    tried: list[int] = []

    def is_held(count: int) -> bool:
        tried.append(count)
        return True

    assert largest(is_held, 16, 50, lambda: True) == (50, 0)
    assert tried == [16, 32, 50]


def test_the_search_tries_nothing_more_when_its_time_is_over() -> None:
    goes_on = iter([True, False])
    assert largest(lambda count: count <= 20, 16, 512, lambda: next(goes_on)) == (16, 32)


def test_a_listener_runs_dry_when_audio_comes_after_all_was_heard() -> None:
    listener = Listener(asked_at=10.0)
    listener.hear(0.5, now=10.2)
    assert listener.first_audio == pytest.approx(0.2)
    assert listener.margin == math.inf
    listener.hear(1.0, now=10.6)
    assert listener.margin == pytest.approx(0.1)
    listener.hear(1.0, now=12.0)
    assert listener.margin == pytest.approx(-0.3)
    listener.hear(1.0, now=12.0)
    assert listener.margin == pytest.approx(-0.3)


def test_a_random_model_speaks_as_long_as_it_is_asked_to(rig: Rig) -> None:
    """Without marks and without stop, a fifth of what it would draw."""
    sequence = rig.decoder.add(rig.request(seed=3, tokens=40))
    while sequence.is_open:
        rig.decoder.step()
    assert len(sequence.tokens) == 40
    run = speak(rig, 2, 0.4)
    assert run.audio == pytest.approx(2 * 0.4)
    assert len(run.first_audios) == 2


def test_listeners_come_one_after_the_other(rig: Rig) -> None:
    """Each is counted from its own arrival on, and the core is left empty."""
    tasks = [lambda seed=seed: rig.task(seed, 0.8) for seed in range(2)]
    ends: Iterator[bool] = iter([False, True])
    run = Audience(rig.core).play(tasks, spacing=30.0, enough=lambda _: next(ends))
    assert len(run.first_audios) == 1
    assert run.duration < 30
    assert not rig.core.busy


def test_the_figures_of_streams_are_of_the_run_that_counts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream is tried, and held when its listener never minds."""
    monkeypatch.setattr("benchmarks.gpu_streams.Run.is_held", True)
    figures = real_time_streams(rig)
    assert (figures["streams_held"], figures["streams_dry"]) == (1, 0)
    assert 0 < figures["streams_first_audio_ms_p50"] <= figures["streams_first_audio_ms_p95"]
