"""How much arithmetic a document costs: multiplications and additions of matrix products, by part of the model.

Each token passes the matrices of its own stream only, and AdaLN works per noise level, not per token: 6 x parameters x
tokens would overstate a step several times. Counted is what the formulas need, once: products that a kernel or a
checkpoint does again, elementwise work, norms, softmax, RoPE, look-ups of AdaLN's rows and the optimizer are left out.
`torch.utils.flop_counter.FlopCounterMode` counts the same on the real model (tests/trainer/test_flops.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainer.model.config import ModelConfig
from trainer.model.layout import STREAMS, Packed
from trainer.model.modulation import FREQUENCIES

Flops = dict[str, int]
"""FLOPs by part: attention, projections (qkv, out), ffn, modulation, embed, heads."""

Rows = tuple[int, int, int, int]

_TEXT = ("video_text", "audio_text")


@dataclass(frozen=True)
class Load:
    """What one pass works on; loads add up, and FLOPs are linear in them.

    rows: of each stream. squares: sum over documents of (tokens over its streams) ** 2. symbols: bytes of transcripts
    with gaps. groups: noise levels, each of which every AdaLN works on.
    """

    rows: Rows = (0, 0, 0, 0)
    squares: int = 0
    symbols: int = 0
    groups: int = 0

    def __add__(self, other: "Load") -> "Load":
        rows = tuple(a + b for a, b in zip(self.rows, other.rows, strict=True))
        return Load(
            rows,  # type: ignore[arg-type]
            self.squares + other.squares,
            self.symbols + other.symbols,
            self.groups + other.groups,
        )

    @property
    def tokens(self) -> int:
        """Rows of all streams."""
        return sum(self.rows)


def document_load(rows: Rows, symbols: int = 0) -> Load:
    """Of one document with these rows a stream and bytes of transcript (its end mark included): two noise levels."""
    return Load(rows, sum(rows) ** 2, symbols, 2)


def batch_load(packed: Packed) -> Load:
    """Of the documents of a micro-batch, without its pads. Reads host integers and shapes only."""
    loads = [document_load(lengths) for lengths in packed.lengths]
    return sum(loads, Load(symbols=len(packed.transcript), groups=1))


def pad_load(packed: Packed) -> Load:
    """Of the pad rows of a micro-batch: they pass all matrices and no attention."""
    rows = tuple(len(ids) - sum(n[s] for n in packed.lengths) for s, ids in enumerate(packed.positions))
    return Load(rows)  # type: ignore[arg-type]


def forward_flops(load: Load, config: ModelConfig) -> Flops:
    """FLOPs of a forward pass, by part."""
    d, n, layers = config.width, load.tokens, config.layers
    embed = {name: rows * width * d for name, (rows, width) in _inputs(load, config).items()}
    heads = load.rows[0] * config.patch_channels + load.rows[3] * config.audio_channels
    return {
        "attention": layers * 4 * load.squares * d,
        "projections": layers * n * 8 * d * d,
        "ffn": layers * n * 4 * d * config.ffn,
        "modulation": 2 * load.groups * (d * d + layers * 4 * _adaln(config, 6) + 2 * _adaln(config, 2)),
        "embed": 2 * sum(embed.values()) + _transcripts(load, config),
        "heads": 4 * heads * d,
    }


def backward_flops(load: Load, config: ModelConfig) -> Flops:
    """FLOPs of the backward pass: twice the forward's, for the gradients of both factors, less what nobody needs.

    The inputs of the model need no gradient, and the text rows of the last block reach no loss after its attention.
    """
    d = config.width
    flops = {part: 2 * count for part, count in forward_flops(load, config).items()}
    text = sum(load.rows[STREAMS.index(name)] for name in _TEXT)
    flops["projections"] -= 2 * text * 2 * d * d
    flops["ffn"] -= 2 * text * 4 * d * config.ffn
    flops["embed"] -= 2 * sum(rows * width * d for rows, width in _inputs(load, config).values())
    return flops


def training_flops(load: Load, config: ModelConfig) -> Flops:
    """FLOPs of a forward and a backward pass, by part: what MFU and the planner count."""
    forward, backward = forward_flops(load, config), backward_flops(load, config)
    return {part: forward[part] + backward[part] for part in forward}


def training_cost(config: ModelConfig) -> Callable[[Load], int]:
    """The total of `training_flops` as a function of loads, quick enough for every draw of a window."""

    def total(load: Load) -> int:
        return sum(training_flops(load, config).values())

    streams = range(len(STREAMS))
    a_row = [total(Load(rows=tuple(int(s == one) for s in streams))) for one in streams]  # type: ignore[arg-type]
    a_square, a_symbol, a_group = total(Load(squares=1)), total(Load(symbols=1)), total(Load(groups=1))

    def cost(load: Load) -> int:
        rows = sum(count * each for count, each in zip(load.rows, a_row, strict=True))
        return rows + load.squares * a_square + load.symbols * a_symbol + load.groups * a_group

    return cost


def _inputs(load: Load, config: ModelConfig) -> Mapping[str, tuple[int, int]]:
    """Rows and channels of what enters the model: these products have no gradient with respect to their input."""
    widths = (config.patch_channels, config.text_dim, config.text_dim, config.audio_channels)
    inputs = {name: (load.rows[i], widths[i]) for i, name in enumerate(STREAMS)}
    return {**inputs, "sigma": (load.groups, FREQUENCIES)}


def _adaln(config: ModelConfig, parts: int) -> int:
    """Weights of one AdaLN of `parts` vectors, biases left out."""
    d, rank = config.width, config.modulation_rank
    return parts * d * d if rank is None else rank * d + parts * d * rank


def _transcripts(load: Load, config: ModelConfig) -> int:
    """FLOPs of the byte encoder: its convolutions and its projection."""
    b = config.bytes
    return 2 * load.symbols * (b.layers * b.kernel * b.width**2 + b.width * config.width)
