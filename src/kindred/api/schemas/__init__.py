"""The structs of bodies and answers: each is the one source of its handler and of its part of the OpenAPI document."""
