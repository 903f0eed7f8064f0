"""Class weights shared out over the ranks, and the loss over them. Begin with `head`.

`tiled` is the loss of one shard in tiles, `fused` and `kernels` the same on a GPU; `partial_fc` is
Partial FC; `tuples` is the head of losses over embeddings alone.
"""
