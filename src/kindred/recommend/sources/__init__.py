"""Candidate generators: each obeys the rules of the request, so that what it proposes may be shown."""
