"""From a run's events to its trackers; begin with `feeder`. Each tracker has a process of its own.

`processes.tracker` is that process, `arcterm.trackers` are the trackers that come with arcterm.
"""
