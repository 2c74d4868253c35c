"""Text to T3's text ids, the same as upstream's `generate` makes, without the network.

Upstream maps what its vocabulary lacks to [UNK], or drops it, and says nothing. Here a letter or
digit that cannot be read is refused by name; punctuation that is unknown is left out.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from chatterbox import mtl_tts, tts, tts_turbo
from chatterbox.models.t3.modules.t3_config import T3Config
from chatterbox.models.tokenizers import EnTokenizer, MTLTokenizer
from chatterbox.models.tokenizers.tokenizer import SPECIAL_TOKENS, UNK, ChineseCangjieConverter
from chatterbox.models.tokenizers.tokenizer import logger as upstream_log
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer

from serve_app.domain.errors import InvalidRequest, TextTooLong
from serve_app.engines.chatterbox.models import Family, ModelSpec

LANGUAGES = tuple(mtl_tts.SUPPORTED_LANGUAGES)
"""What the multilingual model reads; the others read English."""

_MARKS = T3Config()  # for the ids of start and stop, and the number of positions
_STEERING = re.compile(
    "|".join(re.escape(mark) for mark in (*SPECIAL_TOKENS, *(f"[{code}]" for code in LANGUAGES)))
    + r"|\[cj_.\]",
    re.IGNORECASE,
)
"""Marks that would end or steer the speech if a text said them; sounds such as [laughter] may."""

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Text to ids. Any thread may call it at any time."""

    def read(self, text: str, language: str) -> Tensor:
        """Ids of `text`, [n] int64 on the CPU, with the start and stop marks where T3 wants them.

        Raises:
            InvalidRequest: the model does not know the language, or letters or digits of the text.
            TextTooLong: there are more ids than the model takes.
        """
        ...


def open_reader(spec: ModelSpec, folder: Path) -> Reader:
    """The reader of a release whose files are in `folder`."""
    path = folder / spec.reading_files[0]
    match spec.family:
        case Family.ENGLISH:
            tokenizer = EnTokenizer(str(path))
            return GraphemeReader(
                lambda text, _: tokenizer.encode(text), tts.punc_norm, tokenizer.tokenizer, ("en",)
            )
        case Family.MULTILINGUAL:
            multilingual = _OfflineTokenizer(path, folder / spec.reading_files[1])
            return GraphemeReader(
                multilingual.encode, mtl_tts.punc_norm, multilingual.tokenizer, LANGUAGES
            )
        case Family.TURBO:
            return ByteReader(folder)


class GraphemeReader:
    """The English and the multilingual reader: each letter has an id, or is unknown."""

    def __init__(
        self,
        encode: Callable[[str, str], list[int]],
        punc_norm: Callable[[str], str],
        vocabulary: Tokenizer,
        languages: Collection[str],
    ) -> None:
        """Read with `encode`, which takes a text and its language, in one of `languages`."""
        self._encode = encode
        self._punc_norm = punc_norm
        self._unknown = vocabulary.token_to_id(UNK)
        self._languages = languages
        self._reads = lru_cache(maxsize=16_384)(self._look_up)

    def read(self, text: str, language: str) -> Tensor:
        """See `Reader`."""
        _require_language(language, self._languages)
        unmarked = _STEERING.sub(lambda mark: mark[0][1:-1], text)
        readable = self._readable(self._punc_norm(unmarked), language)
        ids = [one for one in self._encode(readable, language) if one != self._unknown]
        marked = [_MARKS.start_text_token, *ids, _MARKS.stop_text_token]
        return _as_tensor(marked, _MARKS.max_text_tokens)

    def _readable(self, text: str, language: str) -> str:
        """`text` as it is, or with unknown letters written plainly: `e` for `é`."""
        unknown = [letter for letter in dict.fromkeys(text) if not self._reads(letter, language)]
        plain = {letter: _without_marks(letter) for letter in unknown}
        refused = [letter for letter in unknown if not self._reads_all(plain[letter], language)]
        if refused:
            raise InvalidRequest(
                f"The model cannot read {''.join(refused)!r} in {language!r} text.",
                "Letters and digits that it does not know are never left out.",
            )
        return text.translate(str.maketrans(plain))

    def _reads_all(self, letters: str, language: str) -> bool:
        return letters.isalpha() and all(self._reads(letter, language) for letter in letters)

    def _look_up(self, character: str, language: str) -> bool:
        """Whether it has ids by itself, for some preparations of a text drop letters; or is none.

        Other characters count as read: unknown ones are left out.
        """
        if not character.isalnum():
            return True
        ids = self._encode(character, language)
        return self._unknown not in ids and len(ids) > len(self._encode("", language))


class ByteReader:
    """Turbo's reader: GPT-2's, whose ids stand for bytes, so that nothing is unknown to it."""

    def __init__(self, folder: Path) -> None:
        """Open the tokenizer whose files are in `folder`."""
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def read(self, text: str, language: str) -> Tensor:
        """See `Reader`. Upstream cuts off what is more than the tokenizer's limit."""
        _require_language(language, ("en",))
        ids = self._tokenizer(tts_turbo.punc_norm(text), verbose=False).input_ids
        return _as_tensor(ids, self._tokenizer.model_max_length)


def _require_language(language: str, known: Collection[str]) -> None:
    if language not in known:
        raise InvalidRequest(
            f"This model does not speak {language!r}.", f"It speaks {', '.join(known)}."
        )


def _as_tensor(ids: list[int], limit: int) -> Tensor:
    if len(ids) > limit:
        raise TextTooLong(
            "The text is too long for the model to read at once.",
            f"It has {len(ids)} ids; the model takes {limit}.",
        )
    return torch.tensor(ids, dtype=torch.int64)


def _without_marks(letter: str) -> str:
    """A letter without its accents; nothing for a number, since `10²` is not 102."""
    if not letter.isalpha():
        return ""
    parts = unicodedata.normalize("NFKD", letter)
    return "".join(part for part in parts if not unicodedata.combining(part))


class _OfflineTokenizer(MTLTokenizer):
    """Upstream's, except that its constructor asks two servers for files."""

    def __init__(self, vocabulary: Path, cangjie: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(vocabulary))
        self.cangjie_converter = _OfflineCangjie(cangjie)
        self.check_vocabset_sot_eot()
        upstream_log.addFilter(_once)


class _OfflineCangjie(ChineseCangjieConverter):
    """Upstream's, with the table of a release's folder, and pkuseg's model if it is there."""

    def __init__(self, table: Path) -> None:
        self.word2cj: dict[str, str] = {}
        self.cj2word: dict[str, list[str]] = {}
        for entry in json.loads(table.read_text("utf-8")):
            glyph, code = entry.split("\t")[:2]
            self.word2cj[glyph] = code
            self.cj2word.setdefault(code, []).append(glyph)
        self.segmenter = _open_segmenter()


def _open_segmenter() -> Any | None:
    """What finds words in Chinese; its model is not part of a release."""
    from spacy_pkuseg import config, pkuseg  # slow, and only Chinese needs it

    folder = Path(config.pkuseg_home, "spacy_ontonotes")
    if (folder / "weights.npz").is_file():
        return pkuseg(str(folder))
    _log.warning("Chinese is read without word borders: there is no model in %s.", folder)
    return None


class _OfAbsentPackages(logging.Filter):
    """Lets each message of an absent package pass once; upstream repeats it for every text."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "not available" not in message:
            return True
        is_new = message not in self._said
        self._said.add(message)
        return is_new


_once = _OfAbsentPackages()
