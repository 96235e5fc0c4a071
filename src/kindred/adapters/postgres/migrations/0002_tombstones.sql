-- What was forgotten (item -1, no type) or removed from the history, and up to which position: no late writer brings it
-- back. A user is a hash here; the order of a position's bytes is that of positions.
CREATE TABLE tombstones (
    user_hash bytea NOT NULL,
    item integer NOT NULL,
    event_type text COLLATE "C" NOT NULL,
    position bytea NOT NULL,
    PRIMARY KEY (user_hash, item, event_type)
);

-- Up to which position a user's profile was written or deleted.
CREATE TABLE profile_positions (
    user_hash bytea PRIMARY KEY,
    position bytea NOT NULL
);
