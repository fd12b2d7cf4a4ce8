"""The graph of cache keys, in integers: reachability, merging, loops, paths, layers, costs."""
