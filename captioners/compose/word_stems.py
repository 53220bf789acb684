"""English words without their endings: "claps", "clapped" and "clapping" are one."""

import re

Stems = tuple[str, ...]
IRREGULAR = {"laughter": "laugh", "wolves": "wolf", "mice": "mous", "geese": "goos", "boing": "boing"}


def stems(text: str) -> Stems:
    """The stems of a text's words, in order, lower case."""
    return tuple(map(stem, re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())))


def stem(word: str) -> str:
    """One lower-case word without plural, -s, -ing, -ed, a doubled last letter or a final e."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    word = re.sub(r"'s$", "", word)
    word = re.sub(r"(?<=..)ie[sd]$", "y", word)
    word = re.sub(r"(?<=ss|sh|ch|zz)es$|(?<=[^su])s$", "", word)
    word = re.sub(r"^(.*[aeiouy].*)(?<=..)(?:ing|(?<!e)ed)$", r"\1", word)
    word = re.sub(r"([bdgklmnprtv])\1$", r"\1", word)
    return re.sub(r"(?<=....)e$", "", word)
