"""Loading a folder of weights: the same modules as upstream's `from_local`, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import chatterbox.models.tokenizers.tokenizer as upstream_tokenizer
import chatterbox.mtl_tts
import chatterbox.tts
import chatterbox.tts_turbo
import chatterbox.vc
import pytest
import torch
from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS
from chatterbox.models.t3.modules.t3_config import T3Config
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from serve_app.engines.chatterbox.architecture import TINY_S3GEN, build_s3gen
from serve_app.engines.chatterbox.loading import Models, find_weights, load_models
from serve_app.engines.chatterbox.models import (
    ENGLISH,
    MULTILINGUAL,
    SPECS,
    TURBO,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.random_weights import (
    TINY_T3,
    random_weights_folder,
    write_random_weights,
)
from serve_app.engines.chatterbox.weight_files import WeightsDamaged, WeightsMissing, verify

Folders = Callable[[ModelSpec], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Random models in folders of upstream's layout, each written when it is first asked for."""
    root = tmp_path_factory.mktemp("weights")

    def folder(spec: ModelSpec) -> Path:
        if not (root / spec.family).exists():
            shape = TINY_T3[spec.family]
            write_random_weights(root / spec.family, spec, t3=shape, s3gen=TINY_S3GEN, seed=7)
        return root / spec.family

    return folder


@pytest.fixture(scope="module")
def english(folders: Folders) -> Models:
    return load(ENGLISH, folders(ENGLISH))


def load(spec: ModelSpec, folder: Path, **options: bool) -> Models:
    return load_models(spec, folder, device="cpu", dtype=torch.float32, **options)


@pytest.fixture
def tiny_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream's own classes, built as shallow as the random models are."""
    for module in (chatterbox.tts, chatterbox.tts_turbo, chatterbox.mtl_tts, chatterbox.vc):
        monkeypatch.setattr(module, "S3Gen", lambda meanflow=False: tiny_s3gen(meanflow))
    monkeypatch.setitem(LLAMA_CONFIGS["Llama_520M"], "num_hidden_layers", 2)
    monkeypatch.setitem(LLAMA_CONFIGS["GPT2_medium"], "n_layer", 2)
    vocabulary = TINY_T3[Family.TURBO].text_vocabulary
    monkeypatch.setattr(chatterbox.tts_turbo, "T3Config", lambda **_: T3Config(vocabulary))
    monkeypatch.setattr(
        upstream_tokenizer.ChineseCangjieConverter, "_init_segmenter", lambda _: None
    )
    monkeypatch.setattr(upstream_tokenizer, "hf_hub_download", local_file)


def tiny_s3gen(meanflow: bool) -> nn.Module:
    return build_s3gen(TURBO if meanflow else ENGLISH, TINY_S3GEN)


def local_file(*, repo_id: str, filename: str, cache_dir: Path) -> str:  # noqa: ARG001
    return str(cache_dir / filename)


def assert_same(ours: nn.Module | None, theirs: nn.Module) -> None:
    assert ours is not None
    mine, expected = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == expected.keys()
    assert all(torch.equal(mine[name], expected[name]) for name in mine)


UPSTREAM = {
    Family.ENGLISH: chatterbox.tts.ChatterboxTTS,
    Family.TURBO: chatterbox.tts_turbo.ChatterboxTurboTTS,
    Family.MULTILINGUAL: chatterbox.mtl_tts.ChatterboxMultilingualTTS,
}


@pytest.mark.usefixtures("tiny_upstream")
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_modules_are_those_that_upstream_loads(folders: Folders, spec: ModelSpec) -> None:
    folder = folders(spec)
    verify(folder, spec.files)
    theirs = UPSTREAM[spec.family].from_local(folder, "cpu")
    ours = load(spec, folder)
    assert_same(ours.t3, theirs.t3)
    assert_same(ours.s3gen, theirs.s3gen)
    assert_same(ours.voice_encoder, theirs.ve)
    assert ours.default_voice is not None
    assert theirs.conds is not None
    assert torch.equal(ours.default_voice.speaker, theirs.conds.t3.speaker_emb[0])
    assert torch.equal(ours.default_voice.prompt.mel, theirs.conds.gen["prompt_feat"][0])
    assert_reads(spec, theirs.tokenizer)


def assert_reads(spec: ModelSpec, tokenizer: object) -> None:
    """The tokenizer of a random model gives ids that the model has, and different ones."""
    match spec.family:
        case Family.ENGLISH:
            ids = tokenizer.encode("It's 5 o'clock!")  # type: ignore[attr-defined]
        case Family.MULTILINGUAL:
            ids = tokenizer.encode("我是好人, ça va?", "zh")  # type: ignore[attr-defined]
        case Family.TURBO:
            ids = tokenizer("It's 5 [laugh] o'clock!").input_ids  # type: ignore[operator]
            assert tokenizer.convert_tokens_to_ids("[laugh]") in ids  # type: ignore[attr-defined]
    assert len(set(ids)) > 8
    assert max(ids) < TINY_T3[spec.family].text_vocabulary
    if spec.family is not Family.TURBO:
        assert 1 not in ids or tokenizer.tokenizer.id_to_token(1) != "[UNK]"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("tiny_upstream")
def test_conversion_loads_what_upstream_does_for_it(folders: Folders) -> None:
    folder = folders(ENGLISH)
    ours = load(ENGLISH, folder, with_t3=False)
    theirs = chatterbox.vc.ChatterboxVC.from_local(folder, "cpu")
    assert (ours.t3, ours.voice_encoder) == (None, None)
    assert_same(ours.s3gen, theirs.s3gen)
    assert ours.default_voice is not None
    assert theirs.ref_dict is not None
    assert torch.equal(ours.default_voice.prompt.x_vector, theirs.ref_dict["embedding"][0])


class TestWhatIsLoaded:
    def test_nothing_is_trained(self, english: Models) -> None:
        for module in (english.t3, english.s3gen, english.voice_encoder):
            assert module is not None
            assert not module.training
            assert not any(parameter.requires_grad for parameter in module.parameters())

    def test_the_voice_has_integer_ids_and_two_frames_a_token(self, english: Models) -> None:
        voice = english.default_voice
        assert voice is not None
        assert (voice.speech_tokens.dtype, voice.prompt.tokens.dtype) == (torch.int64, torch.int64)
        assert voice.speech_tokens.shape == voice.prompt.tokens.shape == (25,)
        assert voice.prompt.mel.shape == (50, 80)
        assert (voice.speaker.shape, voice.prompt.x_vector.shape) == ((256,), (192,))

    def test_rotary_frequencies_stay_exact_in_bfloat16(
        self, folders: Folders, english: Models
    ) -> None:
        folder = folders(ENGLISH)
        models = load_models(ENGLISH, folder, device="cpu", dtype=torch.bfloat16)
        assert models.t3 is not None
        assert english.t3 is not None
        assert {parameter.dtype for parameter in models.t3.parameters()} == {torch.bfloat16}
        assert {parameter.dtype for parameter in models.s3gen.parameters()} == {torch.float32}
        exact, cast = (dict(model.t3.named_buffers()) for model in (english, models) if model.t3)
        assert exact
        assert all(torch.equal(exact[name], cast[name]) for name in exact)

    def test_turbo_keeps_no_embeddings_of_gpt2(self, folders: Folders) -> None:
        t3 = load(TURBO, folders(TURBO)).t3
        assert t3 is not None
        assert not any("wte" in name for name, _ in t3.named_parameters())

    def test_the_sound_is_finite_and_not_clipped(self, english: Models) -> None:
        voice = english.default_voice
        assert voice is not None
        reference = {
            "prompt_token": voice.prompt.tokens[None],
            "prompt_token_len": torch.tensor([25]),
            "prompt_feat": voice.prompt.mel[None],
            "prompt_feat_len": None,
            "embedding": voice.prompt.x_vector[None],
        }
        tokens = voice.prompt.tokens[None, :10]
        sound, _ = english.s3gen.inference(tokens, ref_dict=reference, n_cfm_timesteps=2)
        assert sound.shape == (1, 10 * 960)
        assert 0.001 < sound.abs().max() < 0.5


@pytest.fixture
def copy(folders: Folders, tmp_path: Path) -> Path:
    """A folder whose files are links, so that one can be exchanged at no cost."""
    for path in folders(ENGLISH).iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def exchange(path: Path, content: bytes | Mapping[str, Tensor]) -> None:
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".safetensors":
        save_file(dict(content), path)
    else:
        torch.save(dict(content), path)


class TestDamage:
    """The voice encoder stands for the large checkpoints: they are read by the same lines."""

    def test_a_missing_tensor_is_named(self, copy: Path) -> None:
        state = load_file(copy / "ve.safetensors")
        del state["proj.bias"]
        exchange(copy / "ve.safetensors", state)
        with pytest.raises(WeightsDamaged, match=r"ve\.safetensors.*missing.*proj\.bias"):
            load(ENGLISH, copy)

    def test_a_foreign_tensor_is_named(self, copy: Path) -> None:
        state = load_file(copy / "ve.safetensors")
        exchange(copy / "ve.safetensors", {**state, "lora": torch.zeros(1)})
        with pytest.raises(WeightsDamaged, match=r"ve\.safetensors.*foreign.*lora"):
            load(ENGLISH, copy)

    def test_a_wrong_shape_is_named(self, copy: Path) -> None:
        state = load_file(copy / "ve.safetensors")
        exchange(copy / "ve.safetensors", {**state, "proj.bias": torch.zeros(255)})
        with pytest.raises(WeightsDamaged, match=r"ve\.safetensors.*mismatch for proj\.bias"):
            load(ENGLISH, copy)

    @pytest.mark.parametrize("name", ["t3_cfg.safetensors", "s3gen.safetensors"])
    def test_a_checkpoint_of_something_else_is_refused(self, copy: Path, name: str) -> None:
        exchange(copy / name, {"something.else": torch.zeros(3)})
        with pytest.raises(WeightsDamaged, match=name):
            load(ENGLISH, copy)

    @pytest.mark.parametrize("name", ["t3_cfg.safetensors", "s3gen.safetensors", "conds.pt"])
    def test_a_truncated_file_is_refused(self, copy: Path, name: str) -> None:
        with (copy / name).open("rb") as file:
            start = file.read(20_000)
        exchange(copy / name, start)
        with pytest.raises(WeightsDamaged, match=name):
            load(ENGLISH, copy)

    @pytest.mark.parametrize("name", [ENGLISH.t3_file, ENGLISH.s3gen_file, "ve.safetensors"])
    def test_an_absent_file_is_refused(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(WeightsMissing, match=name):
            load(ENGLISH, copy)

    def test_a_voice_with_tokens_that_are_no_speech_is_refused(self, copy: Path) -> None:
        content = torch.load(copy / "conds.pt", weights_only=True)
        content["gen"]["prompt_token"][0, 3] = 6561
        exchange(copy / "conds.pt", content)
        with pytest.raises(WeightsDamaged, match=r"conds\.pt.*not speech"):
            load(ENGLISH, copy, with_t3=False)

    def test_a_model_without_a_voice_of_its_own_has_none(self, copy: Path) -> None:
        (copy / "conds.pt").unlink()
        assert load(ENGLISH, copy, with_t3=False).default_voice is None

    def test_buffers_that_upstream_computes_may_be_missing(self, copy: Path) -> None:
        state = load_file(copy / "s3gen.safetensors")
        window = state.pop("tokenizer.window")
        exchange(copy / "s3gen.safetensors", state)
        models = load(ENGLISH, copy, with_t3=False)
        assert torch.equal(models.s3gen.tokenizer.get_buffer("window"), window)

    def test_a_checkpoint_in_a_wrapper_is_taken_out(self, folders: Folders, tmp_path: Path) -> None:
        for path in folders(MULTILINGUAL).iterdir():
            (tmp_path / path.name).symlink_to(path)
        state = torch.load(tmp_path / "s3gen.pt", weights_only=True)
        (tmp_path / "s3gen.pt").unlink()
        torch.save({"model": [state]}, tmp_path / "s3gen.pt")
        assert load(MULTILINGUAL, tmp_path, with_t3=False).s3gen is not None

    def test_other_weights_have_another_fingerprint(self, folders: Folders, copy: Path) -> None:
        same = load(ENGLISH, copy, with_t3=False).fingerprint
        assert same == load(ENGLISH, folders(ENGLISH), with_t3=False).fingerprint
        state = load_file(copy / "s3gen.safetensors")
        exchange(copy / "s3gen.safetensors", {name: value + 1 for name, value in state.items()})
        assert load(ENGLISH, copy, with_t3=False).fingerprint != same


class TestRandomModels:
    def test_one_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(folder: Path, spec: ModelSpec, **shapes: object) -> None:  # noqa: ARG001
            folder.mkdir()
            made.append(spec)

        made: list[ModelSpec] = []
        monkeypatch.setattr(
            "serve_app.engines.chatterbox.random_weights.write_random_weights", write
        )
        folder = find_weights("random:turbo", TURBO, tmp_path)
        assert find_weights("random:turbo", TURBO, tmp_path) == folder
        assert made == [TURBO]

    def test_one_half_written_is_begun_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(folder: Path, spec: ModelSpec, **shapes: object) -> None:  # noqa: ARG001
            folder.mkdir()
            raise OSError("the disk is full")

        monkeypatch.setattr(
            "serve_app.engines.chatterbox.random_weights.write_random_weights", fail
        )
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is full"):
                random_weights_folder(TURBO, tmp_path)

    def test_the_family_must_be_that_of_the_model(self) -> None:
        with pytest.raises(ValueError, match="not of the model turbo"):
            find_weights("random:english", TURBO)

    def test_a_source_that_is_a_folder_is_used_where_it_is(self, folders: Folders) -> None:
        folder = folders(ENGLISH)
        assert find_weights(str(folder), ENGLISH) == folder
