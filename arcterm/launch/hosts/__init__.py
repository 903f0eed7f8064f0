"""Several hosts: what a command asks for (`asked`), and this machine as one that joins a run (`joining`)."""
