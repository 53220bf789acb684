"""LiteRT (TensorFlow Lite) models on one CPU thread: the same numbers on every run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Model = Callable[[np.ndarray], list[np.ndarray]]


def model(path: Path) -> Model:
    """A function from the one input of a .tflite file to its outputs (copies), in the file's order."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    exits = [detail["index"] for detail in interpreter.get_output_details()]

    def run(given: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(entry, given)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in exits]

    return run
