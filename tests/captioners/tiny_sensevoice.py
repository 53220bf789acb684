"""A tiny SenseVoice with random weights in sherpa-onnx's format: model.onnx with its metadata, and tokens.txt.

One matrix in the encoder's place; all around it (inputs, four query embeddings, outputs, names, metadata) is as
published. The file is written field by field (onnx.proto): the onnx package would be a dependency for this alone.
"""

from pathlib import Path

import numpy as np

PIECES = ("▁the", "▁old", "▁light", "house", "▁keeper", "s", "▁counts", "▁ships", "今", "天", ",", ".", "▁2")
NAMED = ("<|zh|>", "<|en|>", "<|yue|>", "<|ja|>", "<|ko|>", "<|nospeech|>", "<|NEUTRAL|>", "<|Speech|>", "<|BGM|>")
TOKENS = ("<unk>", "<s>", "</s>", *PIECES, *NAMED, "<|withitn|>", "<|woitn|>")
QUERIES = {0: "<|en|>", 3: "<|zh|>", 4: "<|en|>", 1: "<|NEUTRAL|>", 2: "<|Speech|>", 14: "<|withitn|>", 15: "<|woitn|>"}
WIDTH = 560


def write(folder: Path, **metadata: str) -> Path:
    """Fill `folder`; further metadata, e.g. lang_auto="3", replaces the file's own."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((WIDTH, len(TOKENS))).astype(np.float32)
    weights -= weights.mean(0)  # else how loud it is would decide the token
    embedding = np.zeros((16, WIDTH), np.float32)
    for row, token in QUERIES.items():
        embedding[row] = weights[:, TOKENS.index(token)]
    bias = np.array([0.0 if token in PIECES or token == "<unk>" else -400.0 for token in TOKENS], np.float32)
    meta = {
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "normalize_samples": "0",
        "neg_mean": ",".join(f"{-v:.4f}" for v in rng.uniform(8, 12, WIDTH)),
        "inv_stddev": ",".join(f"{v:.4f}" for v in rng.uniform(0.1, 0.3, WIDTH)),
        "model_type": "sense_voice_ctc",
        "version": "2",
        "comment": "iic/SenseVoiceSmall",
        "vocab_size": str(len(TOKENS)),
        **{f"lang_{name}": str(n) for name, n in [("auto", 0), ("zh", 3), ("en", 4), ("yue", 7), ("ja", 11)]},
        "lang_ko": "12",
        "lang_nospeech": "13",
        "with_itn": "14",
        "without_itn": "15",
        **metadata,
    }
    (folder / "model.onnx").write_bytes(_model(_graph(embedding, weights, bias), meta))
    lines = [f"{token} {number}\n" for number, token in enumerate(TOKENS)]
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def _graph(embedding: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> bytes:
    numbers = {"none": [0], "one": [1], "two": [2]}
    tensors = {name: np.array(value, np.int32) for name, value in numbers.items()}
    tensors |= {"axis": np.array([1], np.int64), "embedding": embedding, "weights": weights, "bias": bias}
    nodes = [
        _node("Mul", ["language", "none"], "zeros"),
        _node("Add", ["zeros", "one"], "ones"),
        _node("Add", ["zeros", "two"], "twos"),
        *(_node("Unsqueeze", [name, "axis"], f"{name}_1") for name in ("language", "ones", "twos", "text_norm")),
        _node("Concat", ["language_1", "ones_1", "twos_1", "text_norm_1"], "queries", axis=1),
        _node("Gather", ["embedding", "queries"], "asked", axis=0),
        _node("Concat", ["asked", "x"], "frames", axis=1),
        _node("MatMul", ["frames", "weights"], "scores"),
        _node("Add", ["scores", "bias"], "logits"),
    ]
    inputs = [_value("x", 1, ["N", "T", WIDTH]), *(_value(n, 6, ["N"]) for n in ("x_length", "language", "text_norm"))]
    body = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    body += b"".join(_field(5, _tensor(name, value)) for name, value in tensors.items())
    return body + b"".join(_field(11, i) for i in inputs) + _field(12, _value("logits", 1, ["N", "L", len(TOKENS)]))


def _model(graph: bytes, meta: dict[str, str]) -> bytes:
    props = [_field(14, _field(1, key.encode()) + _field(2, value.encode())) for key, value in meta.items()]
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13)) + b"".join(props)


def _node(kind: str, inputs: list[str], output: str, **attributes: int) -> bytes:
    body = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode()) + _field(4, kind.encode())
    return body + b"".join(
        _field(5, _field(1, k.encode()) + _field(3, v) + _field(20, 2)) for k, v in attributes.items()
    )


def _tensor(name: str, value: np.ndarray) -> bytes:
    kind = {"float32": 1, "int32": 6, "int64": 7}[value.dtype.name]
    dims = b"".join(_field(1, size) for size in value.shape)
    return dims + _field(2, kind) + _field(8, name.encode()) + _field(9, value.tobytes())


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    dims = b"".join(_field(1, _field(1, d) if isinstance(d, int) else _field(2, d.encode())) for d in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))


def _field(number: int, value: int | bytes) -> bytes:
    """One field of a protobuf message: a varint, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
