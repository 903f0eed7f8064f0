"""From a run and what is asked of it to another attempt: begin with `resumption`."""
