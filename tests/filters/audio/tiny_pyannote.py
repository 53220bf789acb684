"""A tiny random diarization pipeline in a folder, as pyannote/speaker-diarization-community-1 is published.

`config.yaml`; `segmentation/` and `embedding/`, each a Lightning checkpoint `pytorch_model.bin` that names its class;
`plda/` with `xvec_transform.npz` and `plda.npz`. Published: windows of 10 s, 80 bands, 128 dimensions of the PLDA,
voices parted from 0.6 on. Embeddings have 256 dimensions in every WeSpeaker ResNet of pyannote.audio 4; those of random
weights lie near each other.
"""

from pathlib import Path
from typing import Any

import numpy as np

WINDOW_S, BANDS, HIDDEN, EMBEDDING, LDA = 2.0, 8, 4, 256, 8
SPOKEN: dict[str, Any] = {
    "classes": ["speaker#1", "speaker#2", "speaker#3"],
    "powerset_max_classes": 2,
    "permutation_invariant": True,
}
"""Three voices, of which two may speak at once: seven classes of a frame."""
CONFIG = """
dependencies: {pyannote.audio: 4.0.0}
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_batch_size: 32
    embedding: $model/embedding
    embedding_batch_size: 32
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering: {threshold: 0.05, Fa: 0.07, Fb: 0.8}
  segmentation: {min_duration_off: 0.0}
"""


def write(folder: Path, seed: int = 0) -> Path:
    """Write the pipeline with weights of this seed; the folder."""
    import torch
    from pyannote.audio.models.embedding import WeSpeakerResNet34
    from pyannote.audio.models.segmentation import PyanNet

    (folder / "config.yaml").write_text(CONFIG)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = {"hidden_size": HIDDEN, "num_layers": 1}
        heard = PyanNet(lstm=sizes, linear={"hidden_size": HIDDEN, "num_layers": 1})
        heard.specifications = _specified("MONO_LABEL_CLASSIFICATION", "FRAME", **SPOKEN)
        heard.build()
        torch.nn.init.normal_(heard.classifier.weight, std=20.0)  # so that the loudest class changes with the sound
        _save(heard, folder / "segmentation")
        voice = WeSpeakerResNet34(num_mel_bins=BANDS)
        voice.specifications = _specified("REPRESENTATION", "CHUNK")
        _save(voice, folder / "embedding")
    _plda(folder / "plda", np.random.default_rng(seed))
    return folder


def _specified(problem: str, resolution: str, **more: Any) -> Any:
    from pyannote.audio.core.task import Problem, Resolution, Specifications

    return Specifications(problem=Problem[problem], resolution=Resolution[resolution], duration=WINDOW_S, **more)


def _save(model: Any, folder: Path) -> None:
    from lightning.pytorch import Trainer

    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(folder / "pytorch_model.bin")


def _plda(folder: Path, drawn: np.random.Generator) -> None:
    folder.mkdir()
    lda = drawn.normal(size=(EMBEDDING, LDA))
    np.savez(folder / "xvec_transform.npz", mean1=drawn.normal(size=EMBEDDING), mean2=np.zeros(LDA), lda=lda)
    turned, _ = np.linalg.qr(drawn.normal(size=(LDA, LDA)))
    np.savez(folder / "plda.npz", mu=np.zeros(LDA), tr=turned, psi=drawn.uniform(0.5, 4.0, LDA))
