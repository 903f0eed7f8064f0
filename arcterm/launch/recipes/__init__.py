"""Recipes: settings of a training by name. Begin with `find`; `layer` lays them below what was asked for."""
