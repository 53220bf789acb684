"""What a caption asserts: its own words, without those that it quotes or denies."""

import re

_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"|«[^»]*»")
_NOT = re.compile(r"(?<=can)not\b|n't\b", re.IGNORECASE)
_STOP = (
    "while|as|but|and|when|where|until|then|though|although|because|since|with|who|that|which|in|on|over|under|from|by"
    "|near|behind|beneath|into|for|just|only|except|if|yet|at|before|after|during"
)
_WORD = rf"(?:[\s-]+(?!(?:{_STOP})\b)[\w']+)"
_DENIED = re.compile(
    r"\b(?:no|nobody|none|without|neither|nor|never|not|lacks?|lacking|absence of|lack of|(?:free|void|devoid) of"
    r"|free from|instead of|rather than)\b(?!\s+(?:only|just|merely|far|long|stop\w*|ceas\w*|paus\w*|quit\w*)\b)"
    rf"{_WORD}{{0,6}}(?:(?:,{_WORD}{{1,3}}?)*,?\s+n?or\b{_WORD}{{0,5}})?|\b\w+-free\b|\bnon-\w+",
    re.IGNORECASE,
)
"""A denial reaches over the next noun phrase, or a list that ends in "or": not over the rest of its clause."""
_ABSENT = re.compile(
    r"\b[\w']+(?:\s+(?:or|and)\s+[\w']+)?\s+(?:is|are|was|were|can|could)(?:\s+\w+ly)?\s+"
    r"(?:absent|missing|lacking|inaudible|not\s+(?:be\s+)?(?:\w+ly\s+)?(?:heard|audible|present|detected|discernible))\b",
    re.IGNORECASE,
)


def unquoted(text: str) -> str:
    """The text with straight apostrophes and without what stands in double quotes; whole if nothing else would stay."""
    plain = text.replace("’", "'")
    return _QUOTED.sub(" ", plain) if _QUOTED.sub("", plain).strip(" .!") else plain


def asserted(caption: str) -> str:
    """The caption without quoted words and denied things; "can't" is "ca not" in it."""
    return _DENIED.sub(" ", _ABSENT.sub(" ", _NOT.sub(" not", unquoted(caption))))
