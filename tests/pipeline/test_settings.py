import pytest

from manifests.errors import ConfigError
from pipeline import stages
from pipeline.config import PRESETS, load
from pipeline.stages import StageRef


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_shipped_presets_load_and_their_stages_exist(preset):
    settings = load(preset, [])
    for ref in settings.stages:
        assert ref.name == stages.make(ref).NAME


def test_overrides():
    settings = load("demo", ["cut.max_s=4.5", "engine.workers=1", "tiers.0.name=first"])
    assert (settings.cut.max_s, settings.engine.workers, settings.tiers[0].name) == (4.5, 1, "first")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("cut.max_sec=5", "unknown key 'cut.max_sec'; did you mean 'cut.max_s'"),
        ("polizy=klear", "did you mean 'policy'"),
        ("cut.max_s=-1", "cut.max_s = -1"),
        ("cut.max_s=1", "max_s = 1.0 is below min_s = 2.0"),
        ("cut", "takes key=value"),
        ("tiers.9.name=x", "not an index"),
        ("policy.name=x", "holds a value"),
    ],
)
def test_a_bad_setting_names_the_key_the_value_and_the_fix(override, words):
    with pytest.raises(ConfigError, match="(?s)") as caught:
        load("demo", [override])
    assert words in caught.value.message


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match="'demo', 'local'"):
        load("dmeo", [])


def test_an_unknown_stage_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'audio.loudness'"):
        stages.make(StageRef(name="audio.loudnes"))
    with pytest.raises(ConfigError, match="no_such_parameter"):
        stages.make(StageRef(name="audio.loudness", params={"no_such_parameter": 1}))


def test_a_stage_has_one_table():
    with pytest.raises(ConfigError, match="named twice"):
        load("demo", ["tiers.1.stages.0.name=audio.loudness"])
