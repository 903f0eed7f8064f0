"""What a training will need, found out before it starts, by a process of its own (`launch.estimate` asks).

Begin with `tool`, which answers; `trace` follows the memory of a training without any, `trial` times steps.
"""
