"""Long lists of lines: a run's logs and its events. Begin with `textlist`, which knows no Textual."""
