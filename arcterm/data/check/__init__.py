"""``arcterm data check``: what is wrong with a data set. Begin with `check`, which looks at every part.

A `survey` reads each record once; `structure`, `pairsets`, `duplicates`, `likeness` and `alignment` judge
what it found; `findings` counts it, and `report` makes a page of it.
"""
