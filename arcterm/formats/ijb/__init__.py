"""The text files of IJB-B and IJB-C; begin with `database`, which reads and checks all of them."""
