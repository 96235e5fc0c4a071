-- Items have dense ordinals from 0 and are never deleted; seq orders the changes as they were committed.
CREATE TABLE items (
    ordinal integer PRIMARY KEY,
    item_id text COLLATE "C" NOT NULL UNIQUE,
    seq bigint NOT NULL UNIQUE,
    listed boolean NOT NULL,
    updated bigint NOT NULL,
    item jsonb NOT NULL
);
CREATE INDEX items_listed ON items (item_id) WHERE listed;
CREATE INDEX items_tags ON items USING gin ((item -> 'tags'));
CREATE INDEX items_attributes ON items USING gin ((item -> 'attributes') jsonb_path_ops);

CREATE TABLE profiles (
    user_id text COLLATE "C" PRIMARY KEY,
    profile jsonb NOT NULL
);

-- A row id stands for one row for ever, so user and time are part of its key; time is in milliseconds since 1970 UTC,
-- -9223372036854775808 where it is not known.
CREATE TABLE interactions (
    user_id text COLLATE "C" NOT NULL,
    time bigint NOT NULL,
    row_id bytea NOT NULL CHECK (octet_length(row_id) = 16),
    item integer NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    value double precision,
    PRIMARY KEY (user_id, time, row_id)
);
CREATE INDEX interactions_item ON interactions (item, time, row_id);

CREATE TABLE tokens (
    token_id text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    scopes text[] NOT NULL,
    created bigint NOT NULL,
    name text NOT NULL,
    revoked bigint
);

CREATE TABLE traces (
    request_id text COLLATE "C" PRIMARY KEY,
    time bigint NOT NULL,
    data bytea NOT NULL
);
CREATE INDEX traces_time ON traces (time);

-- A lease is held by an advisory lock, which ends with its holder's connection; here stands who took it last.
CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    fence bigint NOT NULL,
    owner text NOT NULL
);
