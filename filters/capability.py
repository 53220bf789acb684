"""Capability: the final audio class and the tasks a clip may be used for. SQL expressions over the measures.

Final class, from the vote of `audio.classes` and the speakers that `audio.voices` counted:

    speech, two speakers or more     multi_speech
    speech otherwise                 single_speech (also when speakers were not counted)
    singing, music, sound            as they are
    not measured                     NULL
"""

from collections.abc import Collection

CLASSES = ("single_speech", "multi_speech", "singing", "music", "sound")
TASKS = ("T2AV", "TI2AV", "TI2V", "T2V", "T2A")
AUDIO_TASKS = ("T2AV", "TI2AV", "T2A")
VIDEO_TASKS = ("T2AV", "TI2AV", "TI2V", "T2V")
"""Tasks that generate sound, and tasks that generate pictures (section 3.3 of the paper names the five)."""


CLASS_COLUMNS = ("audio.classes.audio_class", "audio.voices.speakers")
"""What `final_class` reads."""


def quote(name: str) -> str:
    """A SQL identifier for any column name, e.g. `"audio.silence.vad_silence_ratio"`."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def column(name: str, available: Collection[str], kind: str) -> str:
    """The column cast to the SQL type `kind`, or a typed NULL when the relation has no such column."""
    return f"CAST({quote(name)} AS {kind})" if name in available else f"CAST(NULL AS {kind})"


def final_class(available: Collection[str]) -> str:
    """SQL expression of the final audio class over a relation with columns `<stage>.<column>`."""
    voted = column("audio.classes.audio_class", available, "VARCHAR")
    speakers = column("audio.voices.speakers", available, "INTEGER")
    return (
        f"CASE {voted} WHEN 'speech' THEN CASE WHEN {speakers} >= 2 THEN 'multi_speech' ELSE 'single_speech' END"
        f" ELSE {voted} END"
    )
