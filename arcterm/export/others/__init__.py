"""What is known of other programs' model files: how each is fed, named and wrapped. Begin with feeding."""
