"""What the clients ask for: English prose, a text of its own for each request."""

from __future__ import annotations

import itertools
import random
from enum import StrEnum

SUBJECTS = (
    "The old lighthouse keeper",
    "A young violin teacher",
    "The ferry captain",
    "Our neighbor's oldest son",
    "The last train driver",
    "The wedding photographer",
    "The bakery owner",
    "My sister's best friend",
    "Two of the engineers",
    "The new village doctor",
    "The woman upstairs",
    "A few tired hikers",
)
ACTIONS = (
    "carried a lantern up the stairs",
    "found a letter under the bridge",
    "waited for the rain to stop",
    "told the children a long story",
    "painted the garden gate bright blue",
    "listened to the evening news",
    "sold the last of the bread",
    "looked for a place to rest",
    "walked along the old harbor wall",
    "counted the boats near the shore",
    "wrote the names in a book",
    "repaired the clock in the square",
)
ENDINGS = (
    "before the sun went down",
    "on a bright spring morning",
    "before the night was over",
    "against the cold north wind",
    "after everyone had gone home",
    "as the bells began to ring",
    "without saying a word to anyone",
    "because the road was closed",
    "and sat by the fire",
    "until the snow reached the door",
    "near the edge of the forest",
    "at the end of summer",
)
MAX_REQUEST_CHARACTERS = 10_000


class Workload(StrEnum):
    """How much speech one request asks for."""

    SHORT = "short"  # one sentence, 12 to 16 words, about 5 s
    PARAGRAPH = "paragraph"  # about 30 s
    LONG = "long"  # about 150 s
    LIMIT = "limit"  # the longest text a request may hold, about 10 minutes


CLAUSES_OF_SENTENCES = (1, 2, 1, 1, 2)  # lengths vary as they do in prose
SENTENCES = {Workload.SHORT: 1, Workload.PARAGRAPH: 5, Workload.LONG: 23}


def make_text(workload: Workload, index: int) -> str:
    """The text of request number `index`."""
    source = random.Random(f"{workload}-{index}")
    if workload is Workload.LIMIT:
        return _fill(source, MAX_REQUEST_CHARACTERS)
    cycle = itertools.cycle(CLAUSES_OF_SENTENCES)
    lengths = itertools.islice(cycle, SENTENCES[workload])
    return " ".join(_sentence(source, clauses) for clauses in lengths)


def _sentence(source: random.Random, clauses: int) -> str:
    first, *others = (_clause(source) for _ in range(clauses))
    return ", while ".join([first, *(clause[0].lower() + clause[1:] for clause in others)]) + "."


def _clause(source: random.Random) -> str:
    return " ".join(source.choice(part) for part in (SUBJECTS, ACTIONS, ENDINGS))


def _fill(source: random.Random, characters: int) -> str:
    text = _sentence(source, clauses=1)
    while len(longer := f"{text} {_sentence(source, clauses=2)}") <= characters:
        text = longer
    return text
