"""Which initialisation learns: three tasks with long memories, four networks, one budget."""
