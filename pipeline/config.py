"""The settings of a curation run, as presets write them (`pipeline/presets/*.yaml`). Every default is a real choice."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from media import detect
from media.tracks import DEFAULT_ORDER, check_order
from pipeline.settings import Settings, load_settings
from pipeline.stages import StageRef

PRESETS = Path(__file__).parent / "presets"
X264Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
Side = Annotated[int, Field(ge=2)]
"""Pixels of a side; 4:2:0 has none of fewer."""


class CutSettings(Settings):
    """How sources become clips."""

    min_s: float = Field(default=2.0, gt=0, description="shortest clip, seconds")
    max_s: float = Field(default=10.0, gt=0, description="longest clip, seconds; longer shots are split evenly")
    shots: detect.Name = Field(
        default="pyscenedetect",
        description="shot detector; transnetv2 finds dissolves and fades too, on a GPU or slowly",
    )
    device: str = Field(default="cpu", description="torch device of the shot detector, e.g. cuda")
    windows: Literal["even", "speech"] = Field(
        default="even", description="how long shots are split: evenly, or where a voice detector hears nobody speak"
    )
    crop_borders: bool = Field(default=True, description="crop black borders that stay through a source or a shot")
    audio_order: list[str] = Field(
        default=list(DEFAULT_ORDER),
        description="which audio track is a source's sound, what matters most first: default, channels, rate, lang:eng",
    )
    max_clips: int = Field(default=50_000, gt=0, description="most clips of one source; a source with more is an error")

    @model_validator(mode="after")
    def _ordered(self) -> "CutSettings":
        check_order(self.audio_order)
        if self.max_s < self.min_s:
            raise ValueError(f"max_s = {self.max_s} is below min_s = {self.min_s}")
        return self


class SourceSettings(Settings):
    """Where sources are kept while they are worked on, and how politely they are fetched."""

    cache: str | None = Field(default=None, description="node-local folder of fetched sources; null: in the temp dir")
    cache_gb: float = Field(default=50.0, gt=0, description="size from which the longest unused are evicted, GB")
    decoder: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu", description="where video is decoded; auto: on a GPU where that runs, and it says so if not"
    )
    max_gb: float = Field(default=20.0, gt=0, description="largest source that is fetched, GB")
    max_seconds: float = Field(default=1800.0, gt=0, description="longest that fetching one source may take, s")
    silence_s: float = Field(default=30.0, gt=0, description="longest wait for an answer or for the next bytes, s")
    retries: int = Field(default=5, ge=0, description="tries after the first that bring nothing, then it is given up")
    backoff_s: float = Field(default=1.0, gt=0, description="pause before the first retry, s; doubles, with jitter")
    backoff_max_s: float = Field(default=60.0, gt=0, description="longest pause, and most of Retry-After obeyed, s")
    ahead: int = Field(
        default=4, ge=0, le=12, description="sources of a part that are fetched ahead of the one at work"
    )
    per_host: int = Field(default=2, gt=0, description="downloads from one host at a time, by all workers of a node")
    delay_s: float = Field(default=0.5, ge=0, description="least time between requests to one host, by a node, s")
    user_agent: str = Field(
        default="klear/0.1 (video dataset curation)",
        min_length=1,
        description="User-Agent of downloads: add how to reach you; its first word is who robots.txt is asked about",
    )
    robots: bool = Field(default=True, description="obey robots.txt; what it disallows is ineligible")
    robots_also: list[str] = Field(default=[], description="other agents whose disallows are obeyed too, e.g. GPTBot")
    opt_out: list[str] = Field(
        default=["noai", "noimageai", "noindex", "noimageindex"],
        description="directives of an X-Robots-Tag header that opt a source out; []: none",
    )
    private_hosts: bool = Field(default=False, description="fetch from loopback, link-local and private addresses too")


class DedupSettings(Settings):
    """What counts as a near duplicate. Distances are shares of differing bits: strangers have 0.4 to 0.5."""

    require: Literal["both", "either", "picture", "sound"] = Field(
        default="both", description="what must agree; both: the same pictures with another sound are another sample"
    )
    picture: float = Field(default=0.2, ge=0, le=0.3, description="largest distance of the pictures")
    sound: float = Field(default=0.2, ge=0, le=0.3, description="largest distance of the sounds")
    overlap: float = Field(default=0.6, gt=0, le=1, description="share of the longer clip that both show, at least")
    same_source: float = Field(
        default=0.3, ge=0, le=1, description="factor on both limits for two clips of one source; 0: never duplicates"
    )
    neighbours: int = Field(default=8, gt=0, le=64, description="words after it that a word is compared with in a band")


class TierSettings(Settings):
    """Measures that run in one pass over each clip, after which the policy decides who goes on."""

    name: str = Field(description="part of the job's name, e.g. cheap")
    stages: list[StageRef] = Field(description="measures, in order")


class NeedsSettings(Settings):
    """What one worker of a job takes. As many are started as the cluster has room for."""

    cpus: float = Field(default=1.0, gt=0, description="CPUs, may be a part of one")
    gpus: float = Field(default=0.0, ge=0, description="GPUs, may be a part of one: 0.25 puts four workers on each")
    memory_gib: float = Field(default=0.0, ge=0, description="memory set aside on its node, GiB; 0: not counted")
    runtime_env: dict[str, Any] = Field(
        default={},
        description="Ray's runtime environment, e.g. {pip: [...]}, where a backend's pins conflict with ours",
    )
    clips_at_once: int = Field(
        default=1,
        gt=0,
        le=64,
        description="clips held together, for stages that take several at once (Synchformer, ImageBind, Demucs) on a "
        "GPU, or ask an endpoint side by side; a clip's views take up to 0.4 GB at 10 s, which max_rss_gib must allow",
    )


class EngineSettings(Settings):
    """How work is split and watched."""

    workers: int | None = Field(
        default=None,
        ge=1,
        description="actors in a pool; null: as many as there is room and, at measured rates, work for",
    )
    needs: dict[str, NeedsSettings] = Field(
        default={}, description="what a worker takes, by job: probe, cut, measure.<tier>, annotate, shard, verify"
    )
    part_clips: int = Field(default=64, gt=0, le=4096, description="most clips of one part")
    bucket_bits: int = Field(
        default=8, ge=0, le=16, description="2^bits buckets of a new output folder; a begun one keeps its own"
    )
    attempts: int = Field(default=2, gt=0, description="tries of a part, and of a clip alone in a fresh process")
    max_error_rate: float = Field(default=0.05, ge=0, le=1, description="share of quarantined rows that fails a job")
    clip_timeout_s: float = Field(default=300.0, gt=0, description="limit for one clip (or source), seconds")
    max_rss_gib: float = Field(default=8.0, gt=0, description="memory of a worker's process at most, GiB")


class ValidationSettings(Settings):
    """What tables are held against, beside their own expectations."""

    baseline: str | None = Field(
        default=None, description="output folder, or .json of `klear validate --save-baseline`, that runs are held to"
    )
    drift: Literal["warn", "fail"] = Field(default="warn", description="what a column does that moved too far from it")
    psi: float = Field(
        default=0.25, gt=0, description="population stability index from which numbers moved; 0.1 is moderate"
    )
    share: float = Field(
        default=0.1, gt=0, le=1, description="change of the share of a word, or of NULLs, from which a column moved"
    )


class ShardSettings(Settings):
    """How kept clips become shards."""

    shards: int = Field(default=8, gt=0, description="number of shards of a generation, fixed for its life")
    encoder: Literal["libx264", "h264_nvenc", "auto"] = Field(
        default="libx264", description="H.264 encoder; auto: h264_nvenc where it runs, else libx264, and it says so"
    )
    x264_preset: X264Preset = Field(default="medium", description="x264 speed preset; h264_nvenc has no use for it")
    crf: int = Field(default=18, ge=0, le=51, description="x264 constant rate factor")
    box: tuple[Side, Side] | None = Field(default=None, description="largest width, height; null: the source's size")
    val: float = Field(default=0.01, ge=0, lt=1, description="share of sources held out for evaluation")
    test: float = Field(default=0.01, ge=0, lt=1, description="share of sources held out for the end")

    @model_validator(mode="after")
    def _some_to_train(self) -> "ShardSettings":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val} + {self.test} leaves nothing to train on: together less than 1")
        return self


class PriceSettings(Settings):
    """What machines cost, for the estimates of `klear plan`; tokens are priced at the stage that asks for some."""

    cpu_hour: float | None = Field(default=None, ge=0, description="euro of one CPU for an hour")
    gpu_hour: float | None = Field(default=None, ge=0, description="euro of one GPU for an hour")


class PipelineSettings(Settings):
    """Everything a curation run depends on."""

    sources: SourceSettings = Field(default_factory=SourceSettings)
    cut: CutSettings = Field(default_factory=CutSettings)
    tiers: list[TierSettings] = Field(description="measures by tier, cheap before dear")
    dedup: DedupSettings = Field(default_factory=DedupSettings)
    policy: str = Field(description="a policy of filters/policies/ by name, or a path to a YAML file")
    bypass: float = Field(default=0.01, ge=0, le=1, description="share of clips that all tiers measure, kept or not")
    annotate: list[StageRef] = Field(description="captioner stages, in order")
    shard: ShardSettings = Field(default_factory=ShardSettings)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    prices: PriceSettings = Field(default_factory=PriceSettings)

    @model_validator(mode="after")
    def _known_jobs(self) -> "PipelineSettings":
        jobs = ["probe", "cut", *(f"measure.{tier.name}" for tier in self.tiers), "annotate", "shard", "verify"]
        if unknown := sorted(self.engine.needs.keys() - set(jobs)):
            raise ValueError(f"engine.needs of unknown jobs {unknown}; there are {jobs}")
        together = [name for name, needs in self.engine.needs.items() if needs.clips_at_once > 1]
        if alone := sorted({"probe", "cut", "shard", "verify"}.intersection(together)):
            what = "only the stages of measure.<tier> and annotate take several clips at once"
            raise ValueError(f"clips_at_once of {alone}: {what}")
        return self

    @model_validator(mode="after")
    def _unique(self) -> "PipelineSettings":
        tiers = [tier.name for tier in self.tiers]
        if twice := sorted({name for name in tiers if tiers.count(name) > 1}):
            raise ValueError(f"tiers named twice: {twice}; each is a job of its own, give each another name")
        names = [ref.name for ref in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stages named twice: {twice}; a stage has one table")
        return self

    @property
    def stages(self) -> list[StageRef]:
        """All stages, in the order they run."""
        return [ref for tier in self.tiers for ref in tier.stages] + list(self.annotate)


def load(preset: str, overrides: list[str]) -> PipelineSettings:
    """The settings of a preset by name or path, with `key=value` overrides. Raises ConfigError."""
    return load_settings(PipelineSettings, preset, PRESETS, overrides)
