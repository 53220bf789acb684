"""ONNX models on one CPU thread: the same numbers on every run, and no thread pool inside a worker's share."""

from pathlib import Path
from typing import Any


def session(model: Path | bytes, external: dict[str, bytes] | None = None) -> Any:
    """Open an onnxruntime session with one thread.

    model: path or bytes of the graph. external: name -> bytes of its external data files, for a graph given as bytes.
    Returns an `onnxruntime.InferenceSession`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for name, data in (external or {}).items():
        options.add_external_initializers_from_files_in_memory([name], [data], [len(data)])
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
