"""Records of builds: their steps with the lines of the Dockerfile, and which records of a cache each step makes."""
