-- What pony-serve keeps. Only BIGINT, TEXT and BLOB, so that the same statements can run on PostgreSQL;
-- times are microseconds since 1970, UTC.

CREATE TABLE packages (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- A build slot: one tagset of one package. What is asked most (its newest result, whether somebody
-- builds it, whether a build was asked for) is a column here, so that no question scans the results.
CREATE TABLE slots (
    id INTEGER PRIMARY KEY,
    package BIGINT NOT NULL REFERENCES packages (id),
    tagset TEXT NOT NULL,            -- JSON array, sorted, without repeats
    host TEXT NOT NULL,
    arch TEXT NOT NULL,
    tags TEXT NOT NULL,              -- JSON array, as the client ordered them
    latest BIGINT,                   -- results.id; NULL while only reserved
    reserved_at BIGINT,              -- NULL: not reserved
    reserved_for BIGINT,             -- microseconds; NULL: the builder named no time
    requested BIGINT NOT NULL DEFAULT 0,
    UNIQUE (package, tagset)
);
CREATE INDEX slots_latest ON slots (package, latest);

CREATE TABLE results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    package BIGINT NOT NULL REFERENCES packages (id),
    slot BIGINT NOT NULL REFERENCES slots (id),
    received BIGINT NOT NULL,
    success BIGINT,                  -- 1, 0; NULL: the client did not say
    failed_step TEXT,                -- name of the first step that failed, when the build did
    duration BIGINT,                 -- microseconds
    client_ip TEXT NOT NULL,
    run_id TEXT,                     -- the client's own name for the run, if it gave one
    auth BLOB NOT NULL,              -- SHA-256 of the key that may add to this result
    client_info TEXT NOT NULL,       -- the bags, as XML-RPC values
    results TEXT NOT NULL
);
CREATE UNIQUE INDEX results_run_id ON results (package, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX results_package ON results (package, id);
CREATE INDEX results_slot ON results (slot, id);
