"""ONNX models on one CPU thread: the same numbers on every run, and no thread pool inside a worker's share."""

import platform
from functools import cache
from pathlib import Path
from typing import Any


def session(model: Path | bytes, external: dict[str, bytes] | None = None, quantised: bool = False) -> Any:
    """Open an onnxruntime session with one thread.

    model: path or bytes of the graph. external: name -> bytes of its external data files, for a graph given as bytes.
    quantised: weights and activations of 8 bits, with nodes that quantise around float ones. Where products of 8 bits
    overflow, the float ones are run as they stand, at twice the cost (measured with YAMNet).
    Returns an `onnxruntime.InferenceSession`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if quantised and overflows():
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    for name, data in (external or {}).items():
        options.add_external_initializers_from_files_in_memory([name], [data], [len(data)])
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@cache
def overflows() -> bool:
    """Whether onnxruntime adds products of 8 bits in 16 on this processor: x86 without VNNI, where they overflow.

    YAMNet's scores were off by up to 0.3 (measured on an AMD EPYC with AVX2 alone). onnxruntime's own remedy,
    `session.x64quantprecision`, fails in 1.32 for graphs whose nodes share weights, as YAMNet's do.
    """
    info = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not info.exists():
        return False
    flags = next((line for line in info.read_text().splitlines() if line.startswith("flags")), "").split()
    return not {"avx512_vnni", "avx_vnni"} & set(flags)
