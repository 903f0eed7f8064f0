"""Charts in the console: `grid` draws them, `metrics` and `curves` say which lines and titles.

A screen places a `ChartGrid` of named makers of `Curves` and mixes in `ChartKeys`, which owns the keys.
"""
