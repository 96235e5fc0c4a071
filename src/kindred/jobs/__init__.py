"""Work beside serving: the lake and its queries, retention, rebuilding, backups, dead letters, and their timetable."""
