"""One folder per technology; each implements ports and translates its driver's errors."""
