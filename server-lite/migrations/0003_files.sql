-- Files that clients add to their results. Each lies in the folder beside the results file, its id for a name.

CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result BIGINT REFERENCES results (id), -- NULL: not whole yet, or on its way out
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    visible BIGINT NOT NULL,               -- 1: on the result's page
    size BIGINT NOT NULL,                  -- bytes
    received BIGINT NOT NULL,
    UNIQUE (result, name)
);

-- What all files of results take up, so that no upload has to add it up: one row.
CREATE TABLE stored (files BIGINT NOT NULL); -- bytes on disk
INSERT INTO stored (files) VALUES (0);

-- An upload names its result by nothing but the key.
CREATE UNIQUE INDEX results_auth ON results (auth);
