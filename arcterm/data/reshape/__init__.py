"""Packs made of packs, and files made of packs, no image being decoded. Begin with `packs`."""
