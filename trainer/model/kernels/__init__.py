"""Attention kernels behind one opaque operator, and the switch between them."""

from trainer.model.kernels.op import attend as attend
from trainer.model.kernels.switch import KERNELS as KERNELS
from trainer.model.kernels.switch import pick as pick
