"""The files of upstream's tokenizers, for models with random weights: a token a character."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from pathlib import Path

from chatterbox.models.tokenizers.tokenizer import SPECIAL_TOKENS
from chatterbox.mtl_tts import SUPPORTED_LANGUAGES
from tokenizers import Tokenizer, models, pre_tokenizers

from serve_app.engines.chatterbox.models import Family, ModelSpec

_STOP, _START = 0, 255  # as in upstream's T3Config
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0307\u0308\u030a\u030b\u030c\u0327\u0328"
_ALPHABETS = "αβγδεζηθικλμνξοπρςστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюяאבגדהוזחטיכלמנסעפצקרשת"
_CANGJIE = {
    "我": "hqi",
    "你": "onf",
    "他": "opd",
    "是": "amyo",
    "的": "hapi",
    "好": "vnd",
    "人": "o",
}
_TURBO_MARKS = ("[laugh]", "[chuckle]", "[sigh]", "[gasp]", "[cough]", "[sniff]")
_END_OF_TEXT = "<|endoftext|>"


def write_reading_files(folder: Path, spec: ModelSpec, vocabulary: int) -> None:
    """Write the tokenizer of a model; its ids are below `vocabulary`.

    Raises:
        ValueError: there are more tokens than that.
    """
    match spec.family:
        case Family.ENGLISH:
            characters = string.ascii_letters + string.digits + string.punctuation
            _write_tokenizer(folder / spec.reading_files[0], characters, (), vocabulary)
        case Family.MULTILINGUAL:
            _write_multilingual(folder, spec, vocabulary)
        case Family.TURBO:
            _write_gpt2(folder, vocabulary)


def _write_multilingual(folder: Path, spec: ModelSpec, vocabulary: int) -> None:
    tokenizer, cangjie = spec.reading_files
    characters = string.ascii_lowercase + string.digits + string.punctuation + _ACCENTS + _ALPHABETS
    codes = [f"[cj_{letter}]" for letter in string.ascii_lowercase + string.digits + "."]
    languages = [f"[{language}]" for language in SUPPORTED_LANGUAGES]
    _write_tokenizer(folder / tokenizer, characters, [*languages, *codes], vocabulary)
    entries = [f"{character}\t{code}" for character, code in _CANGJIE.items()]
    (folder / cangjie).write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")


def _write_tokenizer(
    path: Path, characters: Iterable[str], marks: Iterable[str], vocabulary: int
) -> None:
    start, stop, *others = SPECIAL_TOKENS
    special = [*others, *marks]
    free = (number for number in range(vocabulary) if number not in (_STOP, _START))
    ids = {token: next(free) for token in (*special, *characters)}
    ids |= {stop: _STOP, start: _START}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([stop, start, *special])
    tokenizer.save(str(path))


def _write_gpt2(folder: Path, vocabulary: int) -> None:
    """A token for each byte, as GPT2's tokenizer writes them, and the marks of Turbo."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: number for number, token in enumerate([*letters, _END_OF_TEXT])}
    marks = {token: len(ids) + number for number, token in enumerate(_TURBO_MARKS)}
    if len(ids) + len(marks) > vocabulary:
        raise ValueError(f"Turbo's tokenizer needs {len(ids) + len(marks)} tokens.")
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), _END_OF_TEXT)
    content = {
        "vocab.json": ids,
        "added_tokens.json": marks,
        "special_tokens_map.json": names,
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": False,
            "added_tokens_decoder": {
                str(number): {"content": token, "special": False}
                for token, number in {_END_OF_TEXT: ids[_END_OF_TEXT], **marks}.items()
            },
            **names,
        },
    }
    for name, value in content.items():
        (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n")
