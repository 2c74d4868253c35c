"""Words that decide whether a period ends a sentence; lower case and without their last period."""

from __future__ import annotations

import re

from serve_app.text.characters import CLOSERS, OPENERS


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


NEVER_LAST = _words(
    "adm capt cf cmdr col dr e.g gen gov hon i.e lt maj messrs mlle mme mr mrs ms mx pres prof"
    " rep rev sen sgt supt viz vs z.b d.h"
)
"""A sentence does not end here: a name or an example follows."""

LAST_BEFORE_CAPITAL = _words(
    "a.d a.m al approx apt assn ave b.a b.c blvd bros c.e co corp dept est etc inc jr ltd m.a m.d"
    " misc p.m p.s ph.d rd sr univ"
)
"""A sentence ends here if what follows begins like a sentence, not in lower case."""

NUMBERED = _words(
    "apr art aug ch dec eq feb fig fr jan jul jun kr mar no nos nov nr oct p par pp rs sec sect"
    " sep sept tab v ver version vol"
)
"""A sentence does not end here if a number follows: `No. 5`, `Jan. 3`, `vol. 2`."""

BEFORE_NAMES = frozenset({"ft", "mt", "st"})
"""Like an initial, these stand before names: only a word that opens sentences ends a sentence."""

STARTERS = _words(
    "A After Although An And Another As At Because Before Both But By During Each Even Every For"
    " From He Her Here His How However I If In Is It Its Meanwhile Most My No Now On Once One Or"
    " Our Perhaps She Since So Some Still Such Suddenly That The Their Then There These They This"
    " Those Though Today Tomorrow Under Until We Were What When Where Which While Who Why With Yes"
    " Yesterday Yet You Your"
)
"""Words that open sentences and are hardly ever names."""

_WORD_AHEAD = re.compile(
    rf"[{re.escape(CLOSERS)}]*+\s++[{re.escape(OPENERS)}]*+([^\W\d_]{{1,16}}+)(?![\w.])"
)


def starter_follows(text: str, offset: int) -> bool:
    """Tell whether the word after `offset`, which ends a word, is one that opens sentences."""
    word = _WORD_AHEAD.match(text, offset)
    return word is not None and word[1] in STARTERS
