# SPDX-License-Identifier: Apache-2.0
"""What was meant by a word that is none of those there are: the end of a message about it."""

from __future__ import annotations

__all__ = ["closest", "nearest"]


def closest(word: object, words, n: int = 1, alike: float = 0.6) -> list[str]:
    """Those of the words that a word is most like, the most alike first. alike: 1 is the same word."""
    import difflib  # only where something is wrong: it costs what the rest of a small module does

    return difflib.get_close_matches(str(word)[:80], [str(one) for one in words], n, alike)


def nearest(word: object, words, say=str) -> str:
    """The nearest word, else all of them. say: `repr` where the words are Python's."""
    words = [str(one) for one in words]
    close = closest(word, words)
    if close:
        return f"; did you mean {say(close[0])}?"
    return f"; there are {', '.join(words[:20])}{', ...' if len(words) > 20 else ''}" if words else ""
