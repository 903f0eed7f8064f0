"""What engines say of the runs that they hold: ``RUN/engine.json``. Begin with `record`."""
