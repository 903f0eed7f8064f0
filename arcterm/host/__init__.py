"""This host as it is now: cores, memory, GPUs, disks, network, and the processes that use them.

`reader.HostReader` reads all of it; begin there.
"""
