"""Class weights shared out over the ranks, and the loss over them. Begin with `head`.

`tiled` is the loss of one shard in tiles, of the size of `chunk`, by `products`; `filtering` says which
images its way back leaves out. `onednn` is the common case of it on a CPU, `fused` and `kernels` on a GPU;
`partial_fc` is Partial FC; `tuples` is the head of losses over embeddings alone.
"""
