import subprocess
import sys

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
        ("tiers.²={}", "'²' is not an index"),
        ("shard.x264_preset=fastt", "shard.x264_preset = 'fastt': Input should be 'ultrafast', 'superfast'"),
        ("shard.box=[0,-2]", "shard.box.0 = 0: Input should be greater than or equal to 2"),
        ("shard.test=0.7", "shard: val + test = 0.3 + 0.7 leaves nothing to train on"),
        ("cut.max_s=.inf", "cut.max_s = inf: Input should be a finite number"),
        ("sources.max_gb=.nan", "sources.max_gb = nan: Input should be a finite number"),
        ("tiers.1.name=cheap", "tiers named twice: ['cheap']"),
        ("engine.needs={annotate: {cpus: 0}}", "engine.needs.annotate.cpus = 0: Input should be greater than 0"),
        ("engine.workers=0", "engine.workers = 0: Input should be greater than or equal to 1"),
        ("engine.workers=-1", "engine.workers = -1"),
    ],
)
def test_a_bad_setting_names_the_key_the_value_and_the_fix(override, words):
    with pytest.raises(ConfigError, match="(?s)") as caught:
        load("demo", [override])
    assert words in caught.value.message


@pytest.mark.parametrize(
    "override",
    [
        "shard.x264_preset=placebo",
        "shard.box=[640,360]",
        "shard.box=null",
        "engine.workers=null",
        "engine.needs={annotate: {cpus: 0.25, gpus: 0.5}}",
    ],
)
def test_what_the_limits_allow(override):
    load("demo", [override])


def test_a_preset_that_is_no_text(tmp_path):
    preset = tmp_path / "latin.yaml"
    preset.write_bytes("policy: café".encode("latin-1"))
    with pytest.raises(ConfigError, match="latin.yaml is not UTF-8"):
        load(str(preset), [])


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


def test_no_stage_loads_heavy_libraries_before_it_works():
    """Every command asks all stages what they are; torch alone takes two seconds."""
    heavy = "{'torch', 'ray', 'onnxruntime', 'scipy.signal', 'transformers', 'pandas'}"
    asked = "import sys; from pipeline import stages; [stages.kind(name) for name in stages.known()]; "
    asked += f"sys.exit(str({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    assert found.stderr.strip() == "set()"
