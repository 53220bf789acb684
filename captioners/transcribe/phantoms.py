"""What recognisers write where nobody speaks: phrases of their training's subtitles, by language, and descriptions."""

import re
from functools import lru_cache

from captioners.transcribe.wer import letters, normalise

PHRASES = {
    "en": """thank you|thank you very much|thank you so much|thanks|thanks a lot|thanks for watching
        |thanks for listening|thank you for watching|thank you for listening|thank you for watching this video
        |thanks for watching this video|thank you so much for watching|thank you very much for watching
        |thank you for your attention|you|bye|okay|ok|oh|so|please subscribe|subscribe
        |please subscribe to my channel|please subscribe to the channel|please subscribe to our channel
        |subscribe to my channel|subscribe to the channel|like and subscribe|please like and subscribe
        |dont forget to subscribe|dont forget to like and subscribe|see you|see you next time
        |see you in the next video|ill see you next time|ill see you in the next video|ill see you later
        |ill be right back|see you in the next one|let me know in the comments|let me know in the comments below
        |music|applause|silence|the end|to be continued|subtitles by the amara org community
        |captions by the amara org community|blank audio|mm|hmm|uh|mmm|yeah|ah|ooh|woo""",
    "de": """Untertitel der Amara.org-Community|Untertitel im Auftrag des ZDF für funk|Untertitelung des ZDF
        |Untertitelung im Auftrag des ZDF|Untertitel von Stephanie Geiges|Vielen Dank|Danke fürs Zuschauen
        |Vielen Dank fürs Zuschauen|Vielen Dank für Ihre Aufmerksamkeit|Bis zum nächsten Mal|Tschüss""",
    "fr": """Sous-titres réalisés par la communauté d'Amara.org|Sous-titres réalisés para la communauté d'Amara.org
        |Sous-titrage Société Radio-Canada|Sous-titrage ST' 501|Merci|Merci d'avoir regardé
        |Merci d'avoir regardé la vidéo|Merci d'avoir regardé cette vidéo|Abonnez-vous|À bientôt""",
    "es": """Subtítulos por la comunidad de Amara.org|Subtítulos realizados por la comunidad de Amara.org|Gracias
        |Gracias por ver|Gracias por ver el video|Muchas gracias|Muchas gracias por ver el video|Suscríbete
        |Suscríbete al canal|Hasta la próxima""",
    "pt": """Obrigado|Obrigada|Obrigado por assistir|Obrigada por assistir|Legendas pela comunidade Amara.org
        |Legendas pela comunidade de Amara.org|Inscreva-se no canal|Até a próxima""",
    "it": """Sottotitoli creati dalla comunità Amara.org|Sottotitoli e revisione a cura di QTSS|Grazie
        |Grazie per la visione|Grazie per aver guardato il video""",
    "nl": """Ondertitels ingediend door de Amara.org gemeenschap|Ondertiteld door de Amara.org gemeenschap
        |Bedankt voor het kijken""",
    "pl": """Napisy stworzone przez społeczność Amara.org|Dziękuję za uwagę|Dziękuję za oglądanie""",
    "ru": """Продолжение следует|Спасибо за просмотр|Субтитры сделал DimaTorzok|Субтитры создавал DimaTorzok
        |Субтитры подогнал «Симон»|Подписывайтесь на канал|Редактор субтитров А.Синецкая Корректор А.Егорова""",
    "ja": """ご視聴ありがとうございました|ご視聴ありがとうございます|ありがとうございました|おやすみなさい
        |次回もお楽しみに|チャンネル登録お願いします|チャンネル登録よろしくお願いします""",
    "zh": """谢谢|谢谢观看|謝謝觀看|謝謝|谢谢大家|请不吝点赞 订阅|请不吝点赞订阅转发打赏支持明镜与点点栏目
        |請不吝點贊訂閱轉發打賞支持明鏡與點點欄目|字幕由Amara.org社区提供|字幕由 Amara.org 社群提供|未完待续
        |下期再见""",
    "ko": """시청해 주셔서 감사합니다|시청해주셔서 감사합니다|구독과 좋아요 부탁드립니다|감사합니다
        |다음 영상에서 만나요""",
    "tr": """İzlediğiniz için teşekkür ederim|İzlediğiniz için teşekkürler|Altyazı M.K.|Abone olmayı unutmayın""",
    "ar": """ترجمة نانسي قنقر|شكرا للمشاهدة|اشتركوا في القناة""",
}  # fmt: skip
"""Whole phrases, however punctuated, "|" between them. Many are those that users of Whisper report (openai/whisper,
discussion 928)."""
JOINING = frozenset({"and", "so", "then", "but"})
"""Words that join two phrases into one sentence."""
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）|【[^【】]*】|\*[^*]*\*")
_YEAR = re.compile(r",?\s+20\d\d\b")
"""Broadcasters sign subtitles with one."""


def wordless(text: str) -> bool:
    """Whether the text is only of brackets and symbols: a description ("[Music]", "♪♪♪"), never what was said."""
    return bool(text.strip()) and not letters(_BRACKETED.sub("", text))


def phantom(text: str) -> bool:
    """Whether the text is nothing but phantom phrases, one after another, each as often as it likes."""
    said = normalise(_YEAR.sub("", _BRACKETED.sub("", text)))
    words = "".join(said)
    return bool(words) and (_in_order(tuple(said)) or words in _run_together())


def _in_order(said: tuple[str, ...]) -> bool:
    """Whether phrases cover all words, without gaps but for joining words between two."""
    ends = {0}
    for at in range(len(said)):
        if at in ends:
            reached = [n for n in range(1, _longest() + 1) if "".join(said[at : at + n]) in _run_together()]
            ends |= {at + n for n in reached if at + n <= len(said)}
            ends |= {at + 1} if 0 < at < len(said) - 1 and said[at] in JOINING else set()
    return len(said) in ends


@lru_cache(maxsize=1)
def _run_together() -> frozenset[str]:
    return frozenset(letters(phrase) for phrases in PHRASES.values() for phrase in phrases.split("|"))


@lru_cache(maxsize=1)
def _longest() -> int:
    """Most words of a phrase."""
    return max(len(normalise(phrase)) for phrases in PHRASES.values() for phrase in phrases.split("|"))
