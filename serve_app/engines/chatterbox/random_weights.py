"""Models with random weights, in folders laid out as upstream's releases are.

They speak noise. Tests and `configs/serve.chatterbox-random.yaml` run the whole service with them,
where the released weights cannot be had or would be too slow.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.voice_encoder import VoiceEncoder
from chatterbox.tts import Conditionals
from safetensors.torch import save_file
from torch import nn

from serve_app.engines.chatterbox.architecture import (
    TINY_S3GEN,
    S3GenShape,
    T3Shape,
    build_s3gen,
    build_t3,
)
from serve_app.engines.chatterbox.models import (
    FRAMES_PER_TOKEN,
    SPEECH_VOCABULARY,
    TOKEN_RATE,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.random_reading import write_reading_files
from serve_app.engines.chatterbox.weights import Kind, WeightsSource, cache_folder, locked

TINY_T3: dict[Family, T3Shape] = {
    Family.ENGLISH: T3Shape(2, 704),
    Family.TURBO: T3Shape(2, 300),
    Family.MULTILINGUAL: T3Shape(2, 2454),
}

_VERSION = 1  # of what is written here: another one makes the folders in the caches anew


def random_weights_folder(spec: ModelSpec, cache: Path | None = None) -> Path:
    """A folder with a tiny random model, made on the first call; later ones find it.

    `cache` is the folder to make it in; one in the user's cache when None.
    """
    cache = cache or cache_folder(WeightsSource(Kind.RANDOM, spec.family))
    folder, incomplete = cache / f"v{_VERSION}", cache / ".incomplete"
    with locked(cache):
        if not folder.is_dir():
            shutil.rmtree(incomplete, ignore_errors=True)  # of a process that was killed
            write_random_weights(
                incomplete, spec, t3=TINY_T3[spec.family], s3gen=TINY_S3GEN, seed=0
            )
            incomplete.rename(folder)
    return folder


def write_random_weights(
    folder: Path, spec: ModelSpec, *, t3: T3Shape, s3gen: S3GenShape, seed: int
) -> None:
    """Write every file of a model, with weights of these shapes; the same seed, the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):  # layers draw from the global generator only
        torch.default_generator.manual_seed(seed)
        _save(build_t3(spec, t3), folder / spec.t3_file)
        _save(build_s3gen(spec, s3gen), folder / spec.s3gen_file)
        _save(VoiceEncoder(), folder / spec.voice_encoder_file)
    _voice(seed).save(folder / spec.default_voice_file)
    write_reading_files(folder, spec, t3.text_vocabulary)


def _save(module: nn.Module, path: Path) -> None:
    state = module.state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


def _voice(seed: int) -> Conditionals:
    """A voice heard for one second, so that a tiny model has little to continue."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(SPEECH_VOCABULARY, (1, TOKEN_RATE), generator=generator)
    speaker = torch.rand(1, 256, generator=generator)  # the voice encoder's are never negative
    mel = torch.randn(1, TOKEN_RATE * FRAMES_PER_TOKEN, 80, generator=generator) - 5.0
    return Conditionals(
        T3Cond(
            speaker_emb=speaker / speaker.norm(),
            cond_prompt_speech_tokens=tokens,
            emotion_adv=torch.full((1, 1, 1), 0.5),
        ),
        {
            "prompt_token": tokens,
            "prompt_token_len": torch.tensor([TOKEN_RATE]),
            "prompt_feat": mel,
            "prompt_feat_len": None,
            "embedding": torch.randn(1, 192, generator=generator),
        },
    )
