"""The trackers of a training: `chosen` checks what is asked for, `processes` starts what feeds them."""
