"""Full-text search by the tantivy library: files of the data folder, one writer, any number of readers."""
