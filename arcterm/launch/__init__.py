"""Starting runs: what is checked first, and the engines that start them. Begin with `start`."""
