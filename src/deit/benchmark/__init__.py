"""How fast this machine does what a run does, each part beside what it is to be compared with."""
