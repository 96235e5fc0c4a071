"""Filter expressions over item attributes: parsed, never evaluated as code, and compiled to masks over columns."""
