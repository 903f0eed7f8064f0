"""What works on every screen: help, the table of keys, menus, themes, settings. Begin with `menus`."""
