-- How far the fetching of missed events has come, and what deleting old rows needs in order to be found quickly.

-- A project of Notehub that events are fetched from. Whoever holds the lease asks; the others wait.
CREATE TABLE backfill_progress (
    project        text        PRIMARY KEY,
    -- All that Notehub had taken by then, by Notehub's own clock, is stored here or in `rejected`.
    complete_until timestamptz NOT NULL,
    -- Nobody asks before this: the pace that Notehub allows, or the pause that it asked for.
    not_before     timestamptz,
    lease          uuid,
    leased_until   timestamptz,
    -- The latest pass that came to its end.
    caught_up_at   timestamptz,
    -- Somebody wishes that the next pass begins here.
    again_from     timestamptz,
    -- Since the beginning: requests, and of the events that came those that were new, known, rejected, or none of ours.
    requests       bigint      NOT NULL DEFAULT 0,
    new            bigint      NOT NULL DEFAULT 0,
    known          bigint      NOT NULL DEFAULT 0,
    rejected       bigint      NOT NULL DEFAULT 0,
    skipped        bigint      NOT NULL DEFAULT 0,
    -- The latest request, and what went wrong with it if anything did.
    asked_at       timestamptz,
    problem        text,
    CONSTRAINT backfill_progress_lease CHECK ((lease IS NULL) = (leased_until IS NULL))
);

-- What is no event comes again with every look at the same hour, and is to be kept once: the digest of its whole text.
-- What was posted to us has none.
ALTER TABLE rejected ADD COLUMN digest bytea;
CREATE UNIQUE INDEX rejected_once ON rejected (digest) WHERE digest IS NOT NULL;

-- The sweep of `retention`: who is at it, and when the latest one ended.
CREATE TABLE retention_progress (
    only_row     boolean     PRIMARY KEY DEFAULT true CONSTRAINT retention_progress_only_row CHECK (only_row),
    lease        uuid,
    leased_until timestamptz,
    swept_at     timestamptz,
    -- Since the beginning, by table.
    deleted      jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT retention_progress_lease CHECK ((lease IS NULL) = (leased_until IS NULL))
);
INSERT INTO retention_progress DEFAULT VALUES;

-- The oldest deliveries. It is filled at its end and never changed, so an insert pays little for it. Events, measurements
-- and frames need no such index: they are found device by device through their primary keys.
CREATE INDEX delivery_contents_by_time ON delivery_contents (created_at, id);
