"""The HTTP interface: routes, schemas, tokens, problems and the server that carries them."""
