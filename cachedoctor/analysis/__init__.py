"""What is wrong with caches: rules on all of them together, checks against limits, and baselines."""
