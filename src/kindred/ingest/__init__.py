"""From an event to the log, and from the log into state, history and lake."""
