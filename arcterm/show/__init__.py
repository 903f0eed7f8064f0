"""What a person reads, whoever shows it: the command line and the console alike."""
