"""Charts in the console: `grid` draws them, `metrics` and `curves` say which lines and titles.

A screen places a `ChartGrid` of named makers of `Curves` and mixes in `ChartKeys`, which owns the keys.
"""

import os

_THREADS = "OPENBLAS_NUM_THREADS"


def _import_numpy() -> None:
    """Import NumPy without the thread for each core that its linear algebra would start, which then spin.

    What the console starts gets the environment as it was.
    """
    given = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        if given is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = given


_import_numpy()
