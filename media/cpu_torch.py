"""Make PyPI's CUDA-linked torchaudio and torchvision importable beside a CPU-only torch.

Their Linux wheels link libtorch_cuda, which a CPU torch has not got: `import torchaudio` (and with it transformers'
audio code, pyannote.audio and whisperx) raises OSError. torchaudio supports running without its native part, and
torchvision without its fake-op registrations: these finders select both modes, only where torch has no CUDA.
Lost then: torchaudio's forced_align and torchvision's native ops (nms). klear uses neither.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


class _NoNativeAudio(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
            def fail(*args: Any, **kwargs: Any) -> Any:
                raise RuntimeError(
                    f"{function.__name__} needs torchaudio's native part, absent beside a CPU-only torch"
                )

            return fail

        vars(module).update(
            _IS_TORCHAUDIO_EXT_AVAILABLE=False,
            _IS_ALIGN_AVAILABLE=False,
            _check_cuda_version=lambda: None,
            fail_if_no_align=fail_if_no_align,
        )


class _Empty(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""


_LOADERS = {"torchaudio._extension": _NoNativeAudio, "torchvision._meta_registrations": _Empty}


class _CpuTorchFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _LOADERS:
            return None
        import torch

        if torch.version.cuda is not None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, _LOADERS[fullname](), is_package=True)
        spec.submodule_search_locations = [os.path.join(p, fullname.rpartition(".")[2]) for p in path or ()]  # noqa: PTH118
        return spec


def install() -> None:
    """Add the finder to sys.meta_path, once."""
    if not any(type(finder).__name__ == _CpuTorchFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _CpuTorchFinder())
