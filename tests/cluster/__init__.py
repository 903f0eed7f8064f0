"""Many ranks and several hosts, stood in for on this machine: `make cluster`."""
