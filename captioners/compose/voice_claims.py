"""Whether a caption says that somebody speaks or sings."""

import re

from captioners.compose.asserted import asserted

_VOICE = re.compile(
    r"\b(?:speak|speaks|speaking|spoken?|speech(?:es)?(?! bubble)|talk(?:s|ed|ing)?|say|says|saying|said|narrat\w+"
    r"|dialog(?:ue)?s?|conversations?|convers(?:es?|ed|ing)|chat(?:s|ted|ting|ters?|tering)?|sings?|singing|sang|sung"
    r"|voice(?:s|d)?(?! recorder| memo)|voice-?overs?|vocals?|vocali[sz]\w+|vocalists?|choirs?|whisper(?:s|ed|ing)?"
    r"|shout(?:s|ed|ing)?|yell(?:s|ed|ing)?|murmur(?:s|ed|ing)?|mutter(?:s|ed|ing)?|mumbl(?:es?|ed|ing)"
    r"|lectur(?:e|es|ed|ing)(?! hall| room)|monologues?|commentar(?:y|ies)|discussions?|debates?|interviews?"
    r"|announcements?|announcers?|sermons?|chant(?:s|ed|ing)?|rap(?:s|ped|ping)?|lyrics|yodel\w*)\b",
    re.IGNORECASE,
)
_PERSON = (
    r"(?:(?:m[ae]n|wom[ae]n|boy|girl|child(?:ren)?|kid|person|people|adult|toddler|student|somebody|someone|he|she|they"
    r"|male|female|host|guest|speaker|presenter|reporter|teacher|actor|actress|singer|rapper|vocalist|artist|narrator"
    r"|announcer|pilot|guide|crowd|voice|lady|guy|gentleman|player|instructor|character|lecturer|anchor)(?:'?s)?)"
)
_TELLS = re.compile(
    rf"\b{_PERSON}\b[^.;:!?]{{0,60}}?\b(?:(?:explain|ask|answer|comment|greet|announc|instruct|interview|preach|respond"
    r"|introduc|describ|discuss|recit|debat|argu|jok|count|address|mention|remark)(?:e?s|ed|ing|e)?"
    r"|repl(?:y|ies|ied|ying)|tells?|telling|told|calls? out|calling out|read(?:s|ing)? (?:aloud|out)"
    r"|prays?|praying)\b|\b(?:singer|rapper|vocalist)s?\s+perform",
    re.IGNORECASE,
)
"""Verbs that diagrams and scenes have too: they claim a voice only where a person comes before."""
_ANIMAL = r"(?:(?:song)?birds?|crickets?|cicadas?|insects?|frogs?|whales?|kettles?)"
_NO_VOICE = re.compile(
    rf"\b{_ANIMAL}(?:\s+(?!(?:and|while|as|with|when|but)\b)\w+){{0,3}}?\s+(?:sing\w*|sang|talk\w*|chat\w*|convers\w*)"
    rf"|\b(?:sing|talk|chatter)ing\s+(?:{_ANIMAL}|drums?|bowls?)\b"
    rf"|\b(?:singing|chatter\w*|voices?|talking)\s+(?:of|from|by)\s+(?:\w+\s+){{0,2}}{_ANIMAL}\b"
    r"|\b(?:signs?|screens?|texts?|posters?|banners?|labels?|captions?|titles?|shirts?|placards?)(?:\s+(?:that|which))?"
    r"\s+(?:says?|said|saying|tells?|telling)\b",
    re.IGNORECASE,
)
"""What sings or says in captions without a human voice."""


def says_speech(caption: str) -> bool:
    """Whether the caption says that somebody speaks or sings; not where it quotes or denies it."""
    told = _NO_VOICE.sub(" ", asserted(caption))
    return bool(_VOICE.search(told) or _TELLS.search(told))
