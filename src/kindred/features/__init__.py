"""Features as pure folds of events: records and their codecs, live and bulk folds that agree, and a registry."""
