"""Face packs: records in one file (`container`), found by an index (`recordindex`). Begin with `facepack`."""
