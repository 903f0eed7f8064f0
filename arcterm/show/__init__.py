"""Output for people, shared by the command line and the console."""
