"""The request framework: stage protocols, and the Runner that owns order, deadlines, checks, timing and the trace."""
