"""The processes of a run: `supervisor` owns it, `agent` is torchrun inside it, `rank` one worker of several.

An `attempt` is started and watched by the supervisor. `solo` runs a job in one process. `rendezvous` is where
the processes of an attempt meet, `init` stands in front of a command in a container.
"""
