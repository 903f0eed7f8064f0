"""``train_softmax.py`` of 2018: its options and what each is here. Begin reading with `settings.translate`.

Options and defaults are those of February 2018; later ones have the default that leaves all as it was.
"""
