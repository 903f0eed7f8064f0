"""Making data sets: ``arcterm data pack`` (begin with `pack`) and ``arcterm data bin`` (`bin`).

`inputs` lists the people of a folder, a pack, a list or an archive; `imagefiles` gives the bytes to store.
"""
