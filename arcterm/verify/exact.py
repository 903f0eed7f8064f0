"""Float32 on a GPU as it is on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact() -> Iterator[None]:
    """Keep a GPU from rounding what goes into float32 convolutions and products to 10 bits (TF32).

    cuDNN's convolutions do so unless they are told not to. Embeddings would differ in the third digit from
    those of a CPU, and a network with folded norms from itself.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before
