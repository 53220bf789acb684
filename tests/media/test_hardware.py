"""GPU encoding and decoding: tried before it is used, refused or announced where it does not run."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from manifests.errors import ConfigError
from media import cut, ffmpeg, hardware
from media.clip import Clip
from media.encode import EncodeRecipe, encode_argv
from media.look import Look
from media.scratch import Scratch

CLIP = Clip(bytes(16), bytes(16), "/nowhere/a.mp4", 0, 50, Fraction(25), 640, 360, 48_000, 2)


def _after(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_the_usual_encoder_runs() -> None:
    assert hardware.why_no_encoder("libx264") == ""
    assert hardware.choose_encoder("libx264") == ("libx264", "") and hardware.choose_decoder("cpu") == ("cpu", "")


def test_a_trial_tells_the_truth() -> None:
    """Whatever this machine has: `auto`, asking by name, and the trial itself say the same."""
    why, chosen = hardware.why_no_encoder("h264_nvenc"), hardware.choose_encoder("auto")
    assert chosen == (("libx264", why) if why else ("h264_nvenc", ""))
    if why:
        with pytest.raises(ConfigError, match="h264_nvenc does not run here") as caught:
            hardware.choose_encoder("h264_nvenc")
        assert caught.value.code == "config:encoder" and why in caught.value.message
    no_cuda = hardware.why_no_cuda()
    assert hardware.choose_decoder("auto") == (("cpu", no_cuda) if no_cuda else ("cuda", ""))
    if no_cuda:
        with pytest.raises(ConfigError, match="cuda does not run here"):
            hardware.choose_decoder("cuda")


def test_what_ffmpeg_was_not_built_with_is_not_tried() -> None:
    assert hardware.why_no_encoder("h264_abacus") == "the packaged ffmpeg has no h264_abacus"


def test_a_trial_that_works_has_no_complaint(tmp_path: Path) -> None:
    assert hardware._trial(hardware.encode_trial("libx264")) == ""


def test_arguments_of_nvenc() -> None:
    with Scratch() as gauge:
        recipe = EncodeRecipe(encoder="h264_nvenc", crf=21, preset="medium")
        argv = encode_argv(CLIP, recipe, Path("/nowhere/out.mp4"), gauge)
    assert _after(argv, "-vcodec") == "h264_nvenc" and _after(argv, "-cq") == "21" and _after(argv, "-bf") == "0"
    assert "-crf" not in argv and _after(argv, "-preset") == "p5" and _after(argv, "-pix_fmt") == "yuv420p"
    assert hash(recipe) != hash(replace(recipe, encoder="libx264"))


@pytest.mark.parametrize(
    ("decoder", "exact", "on_card"), [("cuda", "yes", True), ("cuda", "", False), ("cpu", "yes", False)]
)
def test_only_codecs_that_are_exact_are_decoded_on_the_card(decoder: str, exact: str, on_card: bool) -> None:
    clip = replace(CLIP, decoder=decoder, look=Look(exact=exact))
    argv = ffmpeg.compile_argv(cut.on_grid(cut.open_range(clip)[0], clip).output("-", f="null"))
    assert ("-hwaccel" in argv) == on_card
    if on_card:
        assert argv.index("-hwaccel") < argv.index("-i") and _after(argv, "-hwaccel") == "cuda"
