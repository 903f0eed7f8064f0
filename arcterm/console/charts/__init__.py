"""Charts in the console: `curves` says which lines and titles, `view` draws them."""
