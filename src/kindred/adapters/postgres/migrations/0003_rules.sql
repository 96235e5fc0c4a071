CREATE TABLE rules (
    version integer PRIMARY KEY,
    created bigint NOT NULL,
    author text NOT NULL,
    note text NOT NULL,
    body bytea NOT NULL
);
