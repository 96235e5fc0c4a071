"""Neural models: what trains them with torch, and writes graphs that are served without it."""
