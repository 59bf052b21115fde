"""How networks are trained: modules that choose and log, the optimiser, the run and what it leaves."""
