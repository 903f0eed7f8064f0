"""The processes of a run: `supervisor` owns it, `agent` is torchrun inside it, `rank` one worker of several.

`solo` runs a job in one process. `rendezvous` is where the processes of an attempt meet.
"""
