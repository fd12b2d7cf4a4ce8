"""From the profile of a daemon to the cause of a stuck export: phases, causes, how long it takes."""
