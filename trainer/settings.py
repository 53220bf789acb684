"""The settings of a training run: one typed tree, from a YAML preset and `--set key=value`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from manifests.errors import ConfigError
from pipeline.settings import Settings, load_settings
from trainer.data.encode_settings import EncodeSettings
from trainer.determinism import REPEATING_ATTENTION
from trainer.guard import GuardSettings
from trainer.launch_ray import LaunchSettings
from trainer.lora import LoraSettings
from trainer.model.config import ModelConfig
from trainer.objective import ObjectiveSettings
from trainer.observe.sinks import LogSettings
from trainer.observe.triggers import ProfileSettings
from trainer.optim import OptimSettings
from trainer.parallel import ParallelSettings
from trainer.partition import BatchSettings
from trainer.sampler import Reuse

PRESETS = Path(__file__).parent / "presets"


class StageSettings(Settings):
    """One stage of the curriculum. Stages run in order; each starts where the one before ended.

    tokens: a step's samples are the prefix of the stream that fits this many tokens (all streams; over all ranks).
    lr: peak learning rate, reached after `warmup` steps, then down a cosine to lr * final_lr at the last step.
    ema: at the start, `keep` the average of the stage before and go on, or `restart` it from the present weights (a
    stage of better data is then not averaged with what came before).
    """

    steps: int = Field(default=300, ge=1)
    tokens: int = Field(default=2048, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    warmup: int = Field(default=20, ge=0)
    final_lr: float = Field(default=0.1, ge=0, le=1)
    ema: Literal["keep", "restart"] = "keep"


class MixtureSettings(Settings):
    """Stage 1's weights over capabilities: proportional to samples ** alpha, times the weight of the task."""

    alpha: float = Field(default=0.5, ge=0, le=1)
    tasks: dict[str, float] = Field(default_factory=lambda: dict.fromkeys(("T2AV", "TI2AV", "TI2V", "T2V", "T2A"), 1.0))


class EvaluateSettings(Settings):
    """Held-out loss. split: of the clips. samples: of each (task, class); most: of all of them together.

    in_loop: clips of the small T2AV measurement inside the loop. sigmas: fixed levels, evenly spread. tokens: in one
    forward pass.
    """

    split: str = "val"
    samples: int = Field(default=4, ge=1)
    most: int = Field(default=24, ge=1)
    in_loop: int = Field(default=4, ge=1)
    sigmas: int = Field(default=8, ge=1)
    tokens: int = Field(default=8192, ge=1)


class RebalanceSettings(Settings):
    """The rule of `trainer/rebalance.py`: step size, uniform share, trust region, floor."""

    eta: float = Field(default=1.0, ge=0)
    uniform: float = Field(default=0.05, ge=0, le=1)
    trust: float = Field(default=2.0, ge=1)
    floor: float = Field(default=0.01, ge=0, lt=1)


class GenerateSettings(Settings):
    """Euler steps from noise to clean, guidance scale (1 is none), samples of each task.

    reuse: what steps share (`trainer.sampler.Reuse`). compile: blocks by torch.compile. Neither changes a sample beyond
    rounding; `graph` and `compile` are for a GPU.
    """

    steps: int = Field(default=20, ge=1)
    guidance: float = Field(default=2.0, ge=0)
    samples: int = Field(default=1, ge=1)
    split: str = "val"
    duration_s: float = Field(default=2.0, gt=0, description="of a sample for --prompt, in seconds")
    reuse: Reuse = "cache"
    compile: bool = False


class TrainSettings(Settings):
    """Everything that decides a run.

    device: auto takes a GPU where there is one. precision: bf16 computes in bfloat16 with float32 master weights.
    lora: adapters on a frozen base, null to train the whole model.
    latents: prefix of the recipe to train on, where OUT holds several; or, with a slash, a folder or URL of a finished
    set, as s3://bucket/run/latents/<recipe>; on_the_fly encodes shards as they are read.
    log_every, save_every, heldout_every: in steps; heldout_every measures a small held-out loss inside the loop, also
    at the first and last step. keep_last: newest checkpoints of a stage that stay; those at multiples of keep_every
    steps always do. save_in_background: write files while steps go on. deterministic: kernels whose results never
    change from run to run (slower on a GPU). gc_every: steps between garbage collections, on all processes at once.
    """

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = False
    latents: str | None = None
    encode: EncodeSettings = EncodeSettings()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveSettings = ObjectiveSettings()
    batch: BatchSettings = BatchSettings()
    optim: OptimSettings = OptimSettings()
    parallel: ParallelSettings = ParallelSettings()
    guard: GuardSettings = GuardSettings()
    mixture: MixtureSettings = MixtureSettings()
    stages: tuple[StageSettings, ...] = (StageSettings(), StageSettings())
    evaluate: EvaluateSettings = EvaluateSettings()
    rebalance: RebalanceSettings = RebalanceSettings()
    generate: GenerateSettings = GenerateSettings()
    log: LogSettings = LogSettings()
    profile: ProfileSettings = ProfileSettings()
    lora: LoraSettings | None = None
    launch: LaunchSettings = LaunchSettings()
    log_every: int = Field(default=10, ge=1)
    save_every: int = Field(default=200, ge=1)
    keep_last: int = Field(default=2, ge=1)
    keep_every: int | None = Field(default=None, ge=1)
    save_in_background: bool = True
    heldout_every: int = Field(default=100, ge=1)
    gc_every: int = Field(default=50, ge=1)

    @model_validator(mode="after")
    def _keeps(self) -> "TrainSettings":
        if self.keep_every is not None and self.keep_every % self.save_every:
            raise ValueError(
                f"keep_every {self.keep_every} is no multiple of save_every {self.save_every}: it would match none"
            )
        return self

    @model_validator(mode="after")
    def _repeats(self) -> "TrainSettings":
        if self.deterministic and self.parallel.attention not in REPEATING_ATTENTION:
            raise ValueError(
                f"parallel.attention {self.parallel.attention!r} does not repeat bit for bit: with deterministic, set "
                f"it to one of {', '.join(REPEATING_ATTENTION)}"
            )
        return self

    def stage(self, number: int) -> StageSettings:
        """Stage 1, 2, ...; raises ConfigError when the settings have no such stage."""
        if not 1 <= number <= len(self.stages):
            raise ConfigError("config:stage", f"no stage {number}: the settings have stages 1 to {len(self.stages)}")
        return self.stages[number - 1]


def load_train_settings(preset: str, overrides: Iterable[str] = ()) -> TrainSettings:
    """A preset of `trainer/presets` (or a path to a YAML file) with `key=value` overrides."""
    return load_settings(TrainSettings, preset, PRESETS, overrides)


def as_plain(settings: Settings) -> Mapping[str, object]:
    """The settings as JSON-ready values, for checkpoints and reports."""
    return settings.model_dump(mode="json")
