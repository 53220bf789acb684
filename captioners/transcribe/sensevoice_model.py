"""SenseVoiceSmall (FunAudioLLM 2024) as sherpa-onnx publishes it: `model.onnx` or `model.int8.onnx`, and `tokens.txt`.

An encoder with CTC: one pass, no decoder, so it is quick and does not run on by itself. Four outputs come before those
of the frames: language, emotion, event, and whether the text is punctuated. Front end as sherpa-onnx runs the file:
Kaldi's 80 log-mel bands (Hamming), seven frames stacked around every sixth (the first and the last repeated beyond the
ends, as FunASR trains), then the file's own means and deviations. Equal to sherpa-onnx 2.0.1: tokens and their times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from manifests.errors import ConfigError
from media.onnx import session

RATE = 16_000
BANDS = 80
FRAME_S = 0.01
QUERIES = 4  # outputs before the frames'
LANGUAGES = ("zh", "en", "yue", "ja", "ko")
NOBODY = "<|nospeech|>"


@dataclass(frozen=True)
class Spoken:
    """What one piece of sound came out as.

    tokens: (piece of text, seconds from the start, probability); "▁" begins a word. language: the likeliest of
    LANGUAGES, with its probability; no_speech_prob: that of `<|nospeech|>`; event: e.g. Speech, BGM, Applause.
    """

    tokens: Sequence[tuple[str, float, float]]
    language: str
    language_probability: float
    no_speech_prob: float
    event: str


class SenseVoice:
    """A model and its vocabulary. Use `load`.

    punctuated: ask for punctuation, case and digits. language: one of LANGUAGES, or auto.
    """

    def __init__(self, folder: str, language: str = "auto", punctuated: bool = True) -> None:
        self.session = session(model_file(folder))
        meta = self.session.get_modelmeta().custom_metadata_map
        try:
            self.stacked, self.step = int(meta["lfr_window_size"]), int(meta["lfr_window_shift"])
            self.scale = 1.0 if int(meta["normalize_samples"]) else 32768.0
            self.mean, self.deviation = (_numbers(meta[name]) for name in ("neg_mean", "inv_stddev"))
            self.asks = int(meta[f"lang_{language}"]), int(meta["with_itn" if punctuated else "without_itn"])
        except KeyError as error:
            raise ConfigError("model:metadata", f"{folder}: the model says nothing of {error}") from None
        lines = (Path(folder) / "tokens.txt").read_text(encoding="utf-8").splitlines()
        self.vocabulary = [line.rsplit(" ", 1)[0] for line in lines]

    def hear(self, sounds: Sequence[np.ndarray]) -> list[Spoken]:
        """Float32 (n,) at 16 kHz each, decoded together."""
        frames = [self.features(sound) for sound in sounds]
        lengths = np.array([len(f) for f in frames], np.int32)
        padded = np.stack([np.pad(f, ((0, lengths.max() - len(f)), (0, 0))) for f in frames])
        language, style = (np.full(len(sounds), value, np.int32) for value in self.asks)
        names = [given.name for given in self.session.get_inputs()]
        (logits,) = self.session.run(None, dict(zip(names, (padded, lengths, language, style))))
        return [self._spoken(one[: QUERIES + length]) for one, length in zip(logits, lengths)]

    def features(self, sound: np.ndarray) -> np.ndarray:
        """(frames, 560) float32 of samples (n,), 60 ms apart; less than 25 ms are padded to one frame."""
        import kaldi_native_fbank as knf

        options = knf.FbankOptions()
        options.frame_opts.samp_freq = RATE
        options.frame_opts.dither = 0.0
        options.frame_opts.window_type = "hamming"
        options.mel_opts.num_bins = BANDS
        options.mel_opts.high_freq = 0.0
        bank = knf.OnlineFbank(options)
        sound = np.pad(sound, (0, max(0, int(0.025 * RATE) - len(sound))))
        bank.accept_waveform(RATE, (sound * self.scale).tolist())
        bank.input_finished()
        bands = np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)])
        around = np.pad(bands, (((self.stacked - 1) // 2, self.stacked), (0, 0)), mode="edge")
        stacks = [around[i : i + self.stacked].ravel() for i in range(0, len(bands), self.step)]
        return ((np.stack(stacks) + self.mean) * self.deviation).astype(np.float32)

    def _spoken(self, logits: np.ndarray) -> Spoken:
        """logits: (4 + frames, vocabulary). The likeliest token of each frame, repeats and blanks (0) left out."""
        best, sure = logits.argmax(1), _softmax(logits).max(1)
        first = _softmax(logits[0])
        chances = {name: float(first[self.vocabulary.index(f"<|{name}|>")]) for name in LANGUAGES}
        language = max(chances, key=lambda name: chances[name])
        path = best[QUERIES:]
        new = [i for i, token in enumerate(path) if self._written(token) and (i == 0 or token != path[i - 1])]
        step_s = FRAME_S * self.step
        return Spoken(
            tokens=[(self.vocabulary[path[i]], i * step_s, float(sure[QUERIES + i])) for i in new],
            language=language,
            language_probability=chances[language],
            no_speech_prob=float(first[self.vocabulary.index(NOBODY)]),
            event=self.vocabulary[best[2]].strip("<|>"),
        )

    def _written(self, token: int) -> bool:
        """Whether a token is text: not the blank, not a mark such as `<|en|>`."""
        return token != 0 and not self.vocabulary[token].startswith("<")


def model_file(folder: str) -> Path:
    """The ONNX file of a folder: the 8-bit one where there are both."""
    small = Path(folder) / "model.int8.onnx"
    return small if small.is_file() else Path(folder) / "model.onnx"


def _numbers(text: str) -> np.ndarray:
    return np.array(text.split(","), np.float32)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    found: np.ndarray = powers / powers.sum(-1, keepdims=True)
    return found


@lru_cache(maxsize=1)
def load(folder: str, language: str, punctuated: bool) -> SenseVoice:
    """The process's model, loaded at the first call. Raises ConfigError model:metadata for a file of another kind."""
    return SenseVoice(folder, language, punctuated)
