"""The same work again and again, launched as one CUDA graph."""

from collections.abc import Callable

import torch


class Replayed:
    """`work`, called once as it is (which compiles, and plans kernels), then captured, then replayed.

    work: reads and writes the same device tensors at every call, and reads nothing on the host that changes. Memory of
    the captured call stays reserved as long as this object lives.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.stream = torch.cuda.Stream()
        self.warm = False
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do the work, in the order of the current stream."""
        if not self.warm:
            self._plain()
            return
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=self.stream):  # launches nothing
                self.work()
        self.graph.replay()

    def _plain(self) -> None:
        """On the stream of the capture, so that what libraries keep for a stream is there when it begins."""
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            self.work()
        current.wait_stream(self.stream)
        self.warm = True
