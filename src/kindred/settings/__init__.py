"""Settings: one TOML file and the environment, read into frozen structs that the components own."""
