"""Photos to aligned faces: ``arcterm align``, and the door that `data pack` and `data bin` use.

Begin with `job`, then `steps`: a photo goes through a preset's steps until one gives a face.
"""
