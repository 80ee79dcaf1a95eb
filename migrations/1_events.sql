-- What Notehub sent, kept for good, and the queue of what is not processed yet.
--
-- `received_events` is only ever inserted into (and emptied by retention), so that storing an event costs one row and
-- nothing that happens to the event later rewrites it. What changes is kept in small rows beside it:
-- `pending_events` is the queue of `process`, `processed_events` and `event_errors` say what came of it.
-- People and Grafana read the view `events`, which puts them together.

CREATE TABLE received_events (
    -- The uid that Notehub gives the event: derived from the content, so a note that is uploaded twice has one uid.
    uid           text        PRIMARY KEY,
    device        text        NOT NULL,
    file          text        NOT NULL,
    -- The moment of the note by the Notecard's clock (`when`), or `received` while that clock was not set.
    captured_at   timestamptz NOT NULL,
    captured_from text        NOT NULL CONSTRAINT received_events_captured_from CHECK (captured_from IN ('when', 'received')),
    received_at   timestamptz NOT NULL,
    stored_at     timestamptz NOT NULL,
    raw           jsonb       NOT NULL CONSTRAINT received_events_raw_is_object CHECK (jsonb_typeof(raw) = 'object')
);
-- By device they are found through `processed_events`; this one costs an insert next to nothing and narrows a time window.
CREATE INDEX received_events_by_time ON received_events USING brin (captured_at);

-- One row for each event that `process` still has to see. A device always falls into the same shard, and a shard is
-- worked on by whoever holds its row in `process_shards`: that is what keeps one device from being processed twice at once.
CREATE TABLE pending_events (
    shard       smallint    NOT NULL,
    captured_at timestamptz NOT NULL,
    uid         text        NOT NULL,
    queued_at   timestamptz NOT NULL,
    -- Asked for by `replay`: earlier errors of the event are forgotten first.
    again       boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (shard, captured_at, uid)
);
CREATE TABLE process_shards (shard smallint PRIMARY KEY);
INSERT INTO process_shards SELECT generate_series(0, 63);

CREATE FUNCTION shard_of(device text) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashtext(device) & 63)::smallint;

-- What is processed, and the way to a device's events in order of time.
CREATE TABLE processed_events (
    device       text        NOT NULL,
    captured_at  timestamptz NOT NULL,
    uid          text        NOT NULL,
    processed_at timestamptz NOT NULL,
    PRIMARY KEY (device, captured_at, uid)
);

-- What went wrong with an event, by the part that failed: `route NAME`, `rule NAME`, `series` or `process`.
CREATE TABLE event_errors (
    event_uid text        NOT NULL,
    part      text        NOT NULL,
    code      text        NOT NULL,
    message   text        NOT NULL,
    -- Where in the expression, counted in characters from 0, when the engine knows.
    position  bigint,
    at        timestamptz NOT NULL,
    PRIMARY KEY (event_uid, part)
);
CREATE INDEX event_errors_by_part ON event_errors (part, at);

CREATE VIEW events AS
SELECT r.uid, r.device, r.file, r.captured_at, r.captured_from, r.received_at, r.stored_at,
       r.raw -> 'body' AS body, r.raw, p.processed_at,
       (SELECT string_agg(e.part || ': ' || e.code || ' ' || e.message, E'\n' ORDER BY e.part)
          FROM event_errors e WHERE e.event_uid = r.uid) AS error
  FROM received_events r
  LEFT JOIN processed_events p USING (device, captured_at, uid);

-- What came in but is no routed event; `body` is the text as it came, cut to 64 KiB, with what is no UTF-8 or NUL replaced.
CREATE TABLE rejected (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    reason text        NOT NULL,
    body   text        NOT NULL
);
CREATE INDEX rejected_by_time ON rejected (at);

CREATE TABLE devices (
    uid            text        PRIMARY KEY,
    serial_number  text,
    product        text,
    fleets         text[]      NOT NULL DEFAULT '{}',
    first_seen     timestamptz NOT NULL,
    last_seen      timestamptz NOT NULL,
    best_lat       double precision,
    best_lon       double precision,
    best_location  text,
    best_timezone  text,
    CONSTRAINT devices_seen_in_order CHECK (first_seen <= last_seen)
) WITH (fillfactor = 70);

-- One number of one device at one moment; the first event to tell it wins.
CREATE TABLE measurements (
    device    text             NOT NULL,
    series    text             NOT NULL,
    at        timestamptz      NOT NULL,
    value     double precision NOT NULL,
    event_uid text             NOT NULL,
    PRIMARY KEY (device, series, at)
);
