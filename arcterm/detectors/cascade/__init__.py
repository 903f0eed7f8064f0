"""MTCNN in torch, over several images at once. Begin with `detector`; `boxes` is its arithmetic."""
