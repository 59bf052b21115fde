"""The typed configuration and everything that is checked before work starts. Imports no torch."""
