-- Incidents that are held back, escalated, or about a station that is silent.

ALTER TABLE incidents
    -- How far it was escalated: the recipients of this step and of those before it were told. 0 is who is told first.
    ADD COLUMN escalation  integer NOT NULL DEFAULT 0 CONSTRAINT incidents_escalation CHECK (escalation >= 0),
    -- When the next step is due, if nobody acknowledges before and there is one.
    ADD COLUMN escalate_at timestamptz,
    -- When the peak was, in the time of the device.
    ADD COLUMN peak_at     timestamptz;

-- Why a notice was not made when its time had come, for the timeline of an incident.
CREATE TABLE held_back (
    incident_id bigint      NOT NULL REFERENCES incidents (id),
    at          timestamptz NOT NULL,
    notice      text        NOT NULL CONSTRAINT held_back_notice CHECK (notice IN ('opened', 'escalated', 'reminder')),
    -- For people to read: `silenced by ann: works on the roof`.
    reason      text        NOT NULL,
    -- When it will be looked at again; absent if that hangs on something else than time.
    until       timestamptz,
    PRIMARY KEY (incident_id, at, notice)
);

-- The old rows are within the new constraint; to look at them here would hold up deliveries.
ALTER TABLE delivery_contents
    DROP CONSTRAINT delivery_contents_notice,
    ADD CONSTRAINT delivery_contents_notice CHECK (notice IN ('opened', 'escalated', 'reminder', 'resolved')) NOT VALID;

-- The signs of life of each station, by arrival: `watch` makes an incident of one that is overdue.
CREATE TABLE heartbeats (
    device        text        PRIMARY KEY,
    -- The last arrival, to the minute: those that follow closely are one, and `devices.last_seen` has the second.
    heard_at      timestamptz NOT NULL,
    -- How often it reports by its own word, in seconds (`every` of `health.qo`).
    every_seconds integer     CONSTRAINT heartbeats_every CHECK (every_seconds > 0),
    -- The last gaps between arrivals in seconds, the newest last.
    gap_seconds   integer[]   NOT NULL DEFAULT '{}' CONSTRAINT heartbeats_gaps CHECK (cardinality(gap_seconds) <= 64),
    -- When `watch` has to look whether it is overdue: never after the moment at which it is, and mostly before, because a
    -- sign of life does not move it. Absent while nothing is expected of it: it is silent, or was given up by a person.
    look_at       timestamptz,
    -- The incident of its silence, while it is open.
    incident_id   bigint      REFERENCES incidents (id),
    -- Until then a station that came back is given time to tell all that it has to tell.
    settles_at    timestamptz,
    CONSTRAINT heartbeats_silent CHECK (incident_id IS NULL OR look_at IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX heartbeats_look_at ON heartbeats (look_at) WHERE look_at IS NOT NULL;

-- When a `watch` of any replica was last awake, and the times in which none was: what did not arrive then is nobody's silence.
CREATE TABLE awake (
    one     boolean     PRIMARY KEY DEFAULT true CONSTRAINT awake_one CHECK (one),
    last_at timestamptz NOT NULL
);
CREATE TABLE absences (
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (ended_at, began_at),
    CONSTRAINT absences_in_order CHECK (began_at < ended_at)
);
