"""Several hosts in one run: their link, the supervisor's side of it (`roll`), and the `member` on each other.

Begin with `link`, then `roll`. The owner of the run is the supervisor on the first host, and it alone.
"""
