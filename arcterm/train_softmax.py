"""``python -m arcterm.train_softmax``: as ``arcterm train-softmax``."""

from __future__ import annotations

import sys

from arcterm.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["train-softmax"]
    main()
