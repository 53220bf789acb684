"""Argument lists: independent graphs stay apart, and odd names survive."""

import ffmpeg as ffmpeg_python

from media import ffmpeg


def graphs(*outputs: object) -> list[str]:
    argv = ffmpeg.compile_argv(*outputs)
    return [argv[i + 1] for i, word in enumerate(argv) if word == "-filter_complex"]


def test_picture_and_sound_are_graphs_of_their_own() -> None:
    file = ffmpeg.source("a.mp4")
    frames = file["0"].filter("fps", "25").filter_multi_output("split", 2)
    sound = file["1"].filter("asetpts", "st(0,1);if(gt(PTS,0),PTS,0)").filter("aresample", "16000")
    tiny = frames[1].filter("scale", 2, 2).output("b.raw", f="rawvideo")
    both = graphs(ffmpeg_python.output(frames[0].filter("format", "gray"), sound, "c.mp4"), tiny)
    assert len(both) == 2
    picture, heard = sorted(both, key=lambda graph: "asetpts" in graph)
    assert all(name in picture for name in ("fps=", "split=", "format=", "scale="))
    assert heard.count("aresample") == 1 and heard.count("[") == 4  # 0:1, two between, one out


def test_one_graph_stays_one() -> None:
    file = ffmpeg.source("a.mp4")
    laid = ffmpeg_python.filter([file["0"], file["1"].filter("scale", 8, 8)], "overlay").filter("format", "gray")
    assert len(graphs(laid.output("b.raw", f="rawvideo"))) == 1
    assert "-filter_complex" not in ffmpeg.compile_argv(file["0"].output("b.raw", f="rawvideo"))


def test_names_that_are_no_utf8_come_out_as_they_were() -> None:
    name = b"\xff\xfe \xe9.mp4".decode("utf-8", "surrogateescape")
    argv = ffmpeg.compile_argv(ffmpeg.source(name)["0"].output("b.raw", f="rawvideo"))
    assert "file:" + name in argv
