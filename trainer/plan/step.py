"""What a step is expected to do: samples by the weights of the tasks, split as the feed splits them."""

from collections.abc import Mapping
from dataclasses import dataclass

from manifests.errors import ConfigError
from trainer.flops import Load, training_cost, training_flops
from trainer.partition import Partition, partition
from trainer.plan.layout import Layout
from trainer.plan.time import Step
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class Work:
    """What is planned for. loads: of the largest clip, by task. stage: of the curriculum."""

    loads: Mapping[str, Load]
    stage: int

    @property
    def largest(self) -> Load:
        """Of the largest document."""
        return max(self.loads.values(), key=lambda load: load.tokens)


def expected_step(settings: TrainSettings, layout: Layout, work: Work) -> Step:
    """A step of the stage: as many samples as its tokens hold."""
    drawn, split = _split(settings, layout, work)
    everything = sum(drawn, Load())
    flops = {part: n // layout.gpus for part, n in training_flops(everything, settings.model).items()}
    turns = len(split.slots[0])
    groups = 1 + 2 * len(drawn) / (turns * layout.data_size)
    float8 = _float8_flops(settings, everything, layout.gpus, turns)
    return Step(everything.tokens / layout.gpus, turns, flops, split.waiting, groups, float8)


def _float8_flops(settings: TrainSettings, everything: Load, gpus: int, turns: int) -> int:
    """FLOPs on one GPU of the linears in float8: none where the mean micro-batch has fewer than `float8_rows` rows."""
    p, model = settings.parallel, settings.model
    rows = everything.rows if model.shared else (everything.rows[0], 0, 0, 0)
    if p.float8 == "none" or sum(rows) / (gpus * turns) < p.float8_rows:
        return 0
    flops = training_flops(Load(rows), model)
    return (flops["projections"] + flops["ffn"]) // gpus


def micro_batch(settings: TrainSettings, layout: Layout, work: Work) -> int:
    """Tokens of the largest micro-batch to have place for, on `context` GPUs together: `batch.micro_tokens`.

    Without that limit, the largest that the feed makes of the stage's tokens; a document goes in one piece.
    """
    if layout.micro_tokens is not None:
        return layout.micro_tokens
    drawn, split = _split(settings, layout, work)
    slots = (sum(drawn[i].tokens for i in slot) for rank in split.slots for slot in rank)
    return max(work.largest.tokens, *slots)


def _split(settings: TrainSettings, layout: Layout, work: Work) -> tuple[list[Load], Partition]:
    cost = training_cost(settings.model)
    drawn = _samples(settings.mixture.tasks, work.loads, settings.stage(work.stage).tokens)
    batch = settings.batch.model_copy(update={"micro_tokens": layout.micro_tokens})
    return drawn, partition([d.tokens for d in drawn], [cost(d) for d in drawn], layout.data_size, batch)


def _samples(weights: Mapping[str, float], loads: Mapping[str, Load], budget: int) -> list[Load]:
    """Samples of the tasks in proportion to their weights, spread evenly, that fit the budget; at least one."""
    shares = {name: weights.get(name, 0.0) for name in loads if weights.get(name, 0.0) > 0}
    if not shares:
        raise ConfigError("config:mixture", f"no task has a weight in mixture.tasks = {dict(weights)}")
    drawn: list[Load] = []
    total, taken = 0, dict.fromkeys(shares, 0)
    while True:
        # The task that is furthest behind its share.
        name = max(shares, key=lambda name: shares[name] * (len(drawn) + 1) / sum(shares.values()) - taken[name])
        total += loads[name].tokens
        if drawn and total > budget:
            return drawn
        drawn.append(loads[name])
        taken[name] += 1
