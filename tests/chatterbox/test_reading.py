"""Text to ids: upstream's own for what its vocabulary knows, a refusal by name for the rest."""

from __future__ import annotations

import json
import logging
import socket
import string
import sys
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import srsly
import torch
from chatterbox import mtl_tts, tts, tts_turbo
from chatterbox.models.t3.modules.t3_config import T3Config
from chatterbox.models.tokenizers import EnTokenizer, MTLTokenizer
from chatterbox.models.tokenizers import tokenizer as upstream
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from transformers import AutoTokenizer

from serve_app.domain.errors import InvalidRequest, TextTooLong
from serve_app.engines.chatterbox.models import ENGLISH, MULTILINGUAL, SPECS, Family
from serve_app.engines.chatterbox.reading import LANGUAGES, Reader, open_reader

START, STOP = 255, 0
ENGLISH_TEXTS = (
    "hello there",
    "“Well,” she said — ‘no’; then…  left: at 10:45 - or so",
    'It costs 3,499.50 in 2024! "Really?" (Yes.)',
    "A dash–here, an ellipsis... and   spaces",
    "[laughter] Tags stay what they are.",
    "already done-",
)
SPOKEN = {
    "ar": "مرحبا بالعالم، كيف حالك؟",
    "da": "Rødgrød med fløde på Ærø",
    "de": "Größere Übungen für Straßenbahnführer",
    "el": "Καλημέρα, κόσμε· τι κάνεις;",
    "en": "The quick brown fox: it's “fine”…",
    "es": "¿Qué tal el año, señor? ¡Bien!",
    "fi": "Hyvää päivää, äiti ja öljy",
    "fr": "L’œuvre déjà près du cœur, ça va ?",
    "he": "שלום עולם",
    "hi": "नमस्ते दुनिया, क्या हाल है?",
    "it": "Perché no? È così",
    "ja": "今日は東京へ行きます。カタカナも",
    "ko": "안녕하세요, 값이 얼마예요?",
    "ms": "Selamat pagi, apa khabar?",
    "nl": "Hoe gaat het, meneer ’s ochtends",
    "no": "Blåbærsyltetøy på øya",
    "pl": "Zażółć gęślą jaźń",
    "pt": "Não, coração, às três",
    "ru": "Привет, ёжик! Как дела?",
    "sv": "Åtta älskade öar",
    "sw": "Habari za asubuhi",
    "tr": "Işık ılık, şoför çiğ",
    "zh": "你好，世界。他說得很好！",
}
HIRAGANA = "".join(chr(code) for code in range(0x3041, 0x3097))
CANGJIE = ["你\tONF", "好\tVND", "世\tPT", "界\tWLL", "他\tOPD", "說\tYRCRU", "得\tOAMI", "很\tOAV"]
MARKS = ("[STOP]", "[UNK]", "[SPACE]", "[PAD]", "[SEP]", "[CLS]", "[MASK]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the three releases, small; their vocabularies hold what the texts above need."""
    folder = tmp_path_factory.mktemp("release")
    tags = [f"[{language}]" for language in SPOKEN]
    tags += [f"[cj_{code}]" for code in string.ascii_uppercase + "123."]
    english = letters(*ENGLISH_TEXTS, string.ascii_letters, string.digits, "'") - set("“”‘’…—–:;")
    graphemes(["[laughter]"], english).save(str(folder / ENGLISH.reading_files[0]))
    spoken = letters(*(unicodedata.normalize("NFKD", text.lower()) for text in SPOKEN.values()))
    more = letters(HIRAGANA, string.printable)
    graphemes(tags, spoken | more).save(str(folder / MULTILINGUAL.reading_files[0]))
    (folder / "Cangjie5_TC.json").write_text(json.dumps([*CANGJIE, "尔\tONF"]), "utf-8")
    write_turbo(folder)
    return folder


def letters(*texts: str) -> set[str]:
    return {letter for text in texts for letter in unicodedata.normalize("NFKD", text) + text} - {
        " "
    }


def graphemes(tags: list[str], letters: set[str]) -> Tokenizer:
    """Marks and tags, START at 255 as in upstream's vocabulary, then letters, and two merges."""
    symbols = sorted(letters)
    ids = {mark: index for index, mark in enumerate([*MARKS, *tags])} | {"[START]": START}
    ids |= {s: START + 1 + index for index, s in enumerate([*symbols, "th", "the"])}
    tokenizer = Tokenizer(BPE(ids, [("t", "h"), ("th", "e")], unk_token="[UNK]"))
    tokenizer.add_special_tokens([*MARKS, *tags, "[START]"])
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    return tokenizer


def write_turbo(folder: Path) -> None:
    symbols = [*sorted(ByteLevel.alphabet()), "he", "<|endoftext|>"]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\nh e\n")
    (folder / "added_tokens.json").write_text(json.dumps({"[laugh]": len(symbols)}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def readers(folder: Path) -> dict[Family, Reader]:
    return {family: open_reader(spec, folder) for family, spec in SPECS.items()}


class Heard(Exception):
    """What reached T3."""


class Ear:
    """In T3's place: it only takes the text in."""

    hp = T3Config()

    def inference(self, text_tokens: torch.Tensor, **_: Any) -> None:
        raise Heard(text_tokens)

    inference_turbo = inference


def upstream_ids(model: Any, tokenizer: Any, text: str, *language: str) -> list[int]:
    """What upstream's `generate` hands to T3, in the row that has the text."""
    speaker = object.__new__(model)
    conditionals = SimpleNamespace(t3=SimpleNamespace(emotion_adv=torch.full((1, 1, 1), 0.5)))
    speaker.__dict__ |= {"t3": Ear(), "tokenizer": tokenizer, "device": "cpu"}
    speaker.conds = conditionals
    with pytest.raises(Heard) as heard:
        speaker.generate(text, *language, **({} if language else {"exaggeration": 0.5}))
    return heard.value.args[0][0].tolist()


@pytest.fixture(scope="module")
def multilingual(folder: Path) -> Any:
    """Upstream's tokenizer, given what it would download, and without pkuseg."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "hf_hub_download", lambda **_: folder / "Cangjie5_TC.json")
        patch.setitem(sys.modules, "spacy_pkuseg", None)
        return MTLTokenizer(str(folder / MULTILINGUAL.reading_files[0]))


@pytest.mark.parametrize("text", ENGLISH_TEXTS)
def test_english_ids_are_upstreams(readers: dict[Family, Reader], folder: Path, text: str) -> None:
    tokenizer = EnTokenizer(str(folder / ENGLISH.reading_files[0]))
    ids = readers[Family.ENGLISH].read(text, "en")
    assert ids.tolist() == upstream_ids(tts.ChatterboxTTS, tokenizer, text)
    assert ids.dtype == torch.int64


@pytest.mark.parametrize("text", [*ENGLISH_TEXTS, *SPOKEN.values(), "Emoji 🎉 too; [laugh]"])
def test_turbo_ids_are_upstreams(readers: dict[Family, Reader], folder: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    ids = readers[Family.TURBO].read(text, "en")
    assert ids.tolist() == upstream_ids(tts_turbo.ChatterboxTurboTTS, tokenizer, text)
    assert ids.dtype == torch.int64


@pytest.mark.parametrize("language", LANGUAGES)
def test_multilingual_ids_are_upstreams(
    readers: dict[Family, Reader], multilingual: Any, language: str
) -> None:
    for text in (SPOKEN[language], SPOKEN[language] + ", " + SPOKEN["en"]):
        ids = readers[Family.MULTILINGUAL].read(text, language).tolist()
        expected = upstream_ids(mtl_tts.ChatterboxMultilingualTTS, multilingual, text, language)
        assert ids == expected
        assert multilingual.tokenizer.token_to_id("[UNK]") not in ids
        assert ids[1] == multilingual.tokenizer.token_to_id(f"[{language}]")


def test_every_language_of_upstream_has_a_sample() -> None:
    assert set(SPOKEN) == set(LANGUAGES) == set(mtl_tts.SUPPORTED_LANGUAGES)


def test_glyphs_of_one_cangjie_code_are_told_apart(readers: dict[Family, Reader]) -> None:
    first, second = (readers[Family.MULTILINGUAL].read(text, "zh") for text in ("你", "尔"))
    assert len(second) == len(first) + 1


@pytest.mark.parametrize("family", Family)
def test_marks_are_where_t3_wants_them(readers: dict[Family, Reader], family: Family) -> None:
    ids = readers[family].read("one", "en").tolist()
    marked = family is not Family.TURBO
    assert (ids[0] == START and ids[-1] == STOP) == marked


@pytest.mark.parametrize("family", Family)
def test_a_language_the_model_does_not_speak_is_refused(
    readers: dict[Family, Reader], family: Family
) -> None:
    with pytest.raises(InvalidRequest, match="'xx'"):
        readers[family].read("hello", "xx")


@pytest.mark.parametrize(
    ("family", "language", "text", "named"),
    [
        (Family.ENGLISH, "en", "Привет world", "Привет"),
        (Family.ENGLISH, "en", "Straße", "ß"),
        (Family.ENGLISH, "en", "Room ௧", "௧"),
        (Family.ENGLISH, "en", "1½ by 10²", "½²"),
        (Family.ENGLISH, "en", "a ﾞ", "ﾞ"),
        (Family.MULTILINGUAL, "de", "Das ist 漢", "漢"),
        (Family.MULTILINGUAL, "zh", "你好漢", "漢"),
        (Family.MULTILINGUAL, "ja", "𠮷", "𠮷"),
    ],
)
def test_letters_that_cannot_be_read_are_named(
    readers: dict[Family, Reader], family: Family, language: str, text: str, named: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        readers[family].read(text, language)
    assert repr(named) in refused.value.message


def test_a_letter_with_an_unknown_accent_is_read_without_it(readers: dict[Family, Reader]) -> None:
    english = readers[Family.ENGLISH]
    assert torch.equal(english.read("a Café in ﬁlm", "en"), english.read("a Cafe in film", "en"))


@pytest.mark.parametrize("family", [Family.ENGLISH, Family.MULTILINGUAL])
def test_a_mark_in_the_text_is_read_as_a_word(
    readers: dict[Family, Reader], family: Family
) -> None:
    said = readers[family].read("Please [STOP] here, [en]d.", "en").tolist()
    assert said == readers[family].read("Please STOP here, end.", "en").tolist()


def test_unknown_punctuation_is_left_out(readers: dict[Family, Reader]) -> None:
    english = readers[Family.ENGLISH]
    assert torch.equal(english.read("one «two🎉»", "en"), english.read("one two", "en"))


@pytest.mark.parametrize(("family", "letters"), [(Family.ENGLISH, 2048), (Family.TURBO, 128)])
def test_text_that_does_not_fit_is_refused_and_never_cut(
    readers: dict[Family, Reader], family: Family, letters: int
) -> None:
    marks = 0 if family is Family.TURBO else 2
    most = "a" * (letters - marks - 1)  # and the full stop that is added
    assert len(readers[family].read(most, "en")) == letters
    with pytest.raises(TextTooLong, match="too long"):
        readers[family].read(most + "a", "en")


@pytest.mark.parametrize("family", Family)
def test_the_network_is_never_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, family: Family
) -> None:
    asked = []
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda _, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: asked.append(address))
    reader = open_reader(SPECS[family], folder)
    for language in LANGUAGES if family is Family.MULTILINGUAL else ("en",):
        reader.read(SPOKEN[language], language)
    assert asked == []


def test_absent_helpers_are_reported_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream.logger, "filters", [])
    monkeypatch.setattr("serve_app.engines.chatterbox.reading._once._said", set())
    for package in ("dicta_onnx", "russian_text_stresser"):
        monkeypatch.setitem(sys.modules, package, None)
    reader = open_reader(MULTILINGUAL, folder)
    for _ in range(3):
        for language in ("he", "ru"):
            reader.read(SPOKEN[language], language)
    for package in ("dicta_onnx", "russian_text_stresser"):
        assert sum(package in message for message in caplog.messages) == 1


def test_without_pkusegs_model_chinese_is_read_and_the_log_says_so_once(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spacy_pkuseg.config.pkuseg_home", str(tmp_path))
    reader = open_reader(MULTILINGUAL, folder)
    assert torch.equal(reader.read("你好", "zh"), reader.read("你好", "zh"))
    assert [r.levelno for r in caplog.records if "word borders" in r.message] == [logging.WARNING]
    assert list(tmp_path.iterdir()) == []


def test_with_pkusegs_model_words_are_set_apart(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = read_with_segmenter(folder, tmp_path, monkeypatch, "你好")
    space = Tokenizer.from_file(str(folder / MULTILINGUAL.reading_files[0])).token_to_id("[SPACE]")
    assert apart.tolist().count(space) == 1


def read_with_segmenter(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> torch.Tensor:
    """Read with a model of pkuseg's format to which each glyph begins a word."""
    model = home / "spacy_ontonotes"
    model.mkdir()
    features = {"unigram": [], "bigram": [], "feature_to_idx": {"": 0}, "tag_to_idx": {"B": 0}}
    srsly.write_msgpack(model / "features.msgpack", features)
    np.savez(model / "weights.npz", sizes=np.array([1, 1]), w=np.zeros(2))
    monkeypatch.setattr("spacy_pkuseg.config.pkuseg_home", str(home))
    return open_reader(MULTILINGUAL, folder).read(text, "zh")
