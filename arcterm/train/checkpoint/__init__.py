"""Save and restore everything that a run needs to go on exactly where it was.

A checkpoint holds the backbone, its optimizer's state, and the head by class range, one file a rank. The
backbone has the mean of all ranks' running statistics; each rank's own lie beside it. Where weights are
averaged, the backbone is their average, and those that go on learning lie beside it. The order of the images
and their mirroring follow from the seed and the step; what was mined with weights that are gone is held too.
It can be read by any number of ranks. Begin with `writing`; `background` does it while steps go on.
"""
