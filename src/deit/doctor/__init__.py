"""Checks of an installation and of what a configuration names: a module a check, called what `what=` calls it."""
