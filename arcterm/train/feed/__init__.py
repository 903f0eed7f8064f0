"""From a data set to batches on the device. Begin with `batches`.

`sampler`, `identities` and `mining` choose images, `loader` decodes them, `augment` changes them, `cache`
keeps them decoded.
"""
