"""Class weights shared out over the ranks, and the loss over them. Begin with `head`.

`tiled` is the loss of one shard in tiles, `onednn` the common case of it on a CPU, `fused` and `kernels` on a
GPU; `partial_fc` is Partial FC; `tuples` is the head of losses over embeddings alone.
"""
