"""The processes of a run: `supervisor` owns it, `agent` is torchrun inside it, `rank` one of its workers.

An `attempt` is started and watched by the supervisor. A rank alone needs no agent; `solo` runs a job in one
process, without torch. `rendezvous` is where the processes of an attempt meet, `init` stands in front of a
command in a container.
"""
