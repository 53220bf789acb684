"""The speaking child: drives espeak-ng's C interface through ctypes. Run by `media.synth.speech`.

Source: espeak-ng's `speak_lib.h` (retrieval mode, word events).
"""

import ctypes
import json
import sys
from pathlib import Path

import espeakng_loader
import numpy as np

_RETRIEVAL = 1
_UTF8 = 1
_RATE_PARAMETER, _PITCH_PARAMETER = 1, 3
_LIST_END, _WORD = 0, 1


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event), use_errno=False
)


def main(request: str, answer: str) -> None:
    """Read [text, voice, speed, pitch] rows, write an .npz of rate, samples (int16) and word starts (seconds)."""
    library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    rate = library.espeak_Initialize(_RETRIEVAL, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    if rate <= 0:
        sys.exit("espeak_Initialize failed")
    arrays = {"rate": np.array(rate)}
    for number, (text, voice, speed, pitch) in enumerate(json.loads(Path(request).read_text())):
        samples, starts = _say(library, text, voice, speed, pitch)
        arrays |= {f"samples{number}": samples, f"starts{number}": starts}
    np.savez(answer, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def _say(library: ctypes.CDLL, text: str, voice: str, speed: int, pitch: int) -> tuple[np.ndarray, np.ndarray]:
    blocks: list[np.ndarray] = []
    starts: dict[int, float] = {}

    def collect(wave: ctypes.Array, count: int, events: ctypes.Array) -> int:
        if wave and count:
            blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        number = 0
        while events[number].type != _LIST_END:
            if events[number].type == _WORD:
                starts.setdefault(events[number].text_position, events[number].audio_position / 1000)
            number += 1
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        sys.exit(f"espeak-ng has no voice {voice!r}")
    library.espeak_SetParameter(_RATE_PARAMETER, speed, 0)
    library.espeak_SetParameter(_PITCH_PARAMETER, pitch, 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices are noisy; the seed is the time of day otherwise
    data = text.encode()
    library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(blocks), np.array([starts[key] for key in sorted(starts)])


if __name__ == "__main__":
    main(*sys.argv[1:3])
