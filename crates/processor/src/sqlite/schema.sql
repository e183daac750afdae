-- How often a daemon has opened the store: the high half of its sequence numbers.
CREATE TABLE starts (count INTEGER NOT NULL);
INSERT INTO starts VALUES (0);

-- Detector state: a checkpoint, and the entries after it.
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER,                -- of the checkpoint; NULL before the first one
    checkpoint BLOB
);
CREATE TABLE entries (
    partition INTEGER NOT NULL REFERENCES partitions (id),
    version INTEGER NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (partition, version)
);

-- Events pending delivery, in order. An entry and its events are written together.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    events BLOB NOT NULL
);

-- What people query. Times are UTC: texts as devices write them, numbers in microseconds since 1970.
CREATE TABLE anomalies (
    deviceid TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    "anomalyDate" TEXT NOT NULL,
    value TEXT NOT NULL,            -- a number, or a JSON array of numbers
    "anomalyType" TEXT NOT NULL,    -- one or several kinds, separated by commas
    anomaly_score REAL NOT NULL,
    PRIMARY KEY (deviceid, timestamp)
) WITHOUT ROWID;
CREATE TABLE incidents (
    sensor TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    id TEXT NOT NULL,               -- 12 hexadecimal digits, of sensor and start
    number INTEGER NOT NULL,        -- of the last transition
    notified INTEGER NOT NULL,      -- the last transition people were notified of
    open INTEGER NOT NULL,
    latest BLOB NOT NULL,           -- the last transition
    acknowledged_by TEXT,
    acknowledged_at_us INTEGER,
    muted_until_us INTEGER,
    PRIMARY KEY (sensor, start_us)
) WITHOUT ROWID;
CREATE INDEX incidents_by_id ON incidents (id);
CREATE INDEX incidents_by_state ON incidents (open, start_us);
CREATE TABLE transitions (
    sensor TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    number INTEGER NOT NULL,
    transition BLOB NOT NULL,
    PRIMARY KEY (sensor, start_us, number)
) WITHOUT ROWID;
CREATE TABLE mutes (
    sensor TEXT PRIMARY KEY,
    until_us INTEGER NOT NULL
) WITHOUT ROWID;

-- Episodes of groups of sensors, and what people were notified of.
CREATE TABLE groups (
    name TEXT PRIMARY KEY,
    episodes BLOB NOT NULL
) WITHOUT ROWID;

PRAGMA user_version = 2;
