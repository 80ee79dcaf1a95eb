-- Rules watched per device, and the incidents that came of them.

CREATE TABLE incidents (
    id              bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule            text             NOT NULL,
    device          text             NOT NULL,
    severity        text             NOT NULL CONSTRAINT incidents_severity CHECK (severity IN ('critical', 'warning', 'info')),
    event_uid       text             NOT NULL,
    -- In the time of the device: when the condition was met, and when it was gone.
    opened_at       timestamptz      NOT NULL,
    resolved_at     timestamptz,
    -- By whom it was ended: `cleared` by the rule's own condition, `rule removed` when nothing judges it any more.
    resolution      text,
    acknowledged_at timestamptz,
    acknowledged_by text,
    opened_value    double precision NOT NULL,
    peak_value      double precision NOT NULL,
    -- When the next notice is due if nothing else happens (a delayed opening or a reminder), and when the last was made.
    notice_due_at   timestamptz,
    last_notice_at  timestamptz,
    notices         integer          NOT NULL DEFAULT 0,
    CONSTRAINT incidents_resolved CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
    CONSTRAINT incidents_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);
-- A person is told once per incident: there is never a second open one for the same rule and device.
CREATE UNIQUE INDEX incidents_one_open ON incidents (rule, device) WHERE resolved_at IS NULL;
CREATE INDEX incidents_by_device ON incidents (device, opened_at);
CREATE INDEX incidents_notice_due ON incidents (notice_due_at) WHERE notice_due_at IS NOT NULL;

CREATE TABLE alerts (
    rule           text        NOT NULL,
    device         text        NOT NULL,
    state          text        NOT NULL CONSTRAINT alerts_state CHECK (state IN ('normal', 'pending', 'firing', 'recovering')),
    -- What the alert machine remembers between two samples.
    memory         jsonb       NOT NULL,
    incident_id    bigint      REFERENCES incidents (id),
    last_notice_at timestamptz,
    PRIMARY KEY (device, rule),
    CONSTRAINT alerts_incident CHECK ((state IN ('firing', 'recovering')) = (incident_id IS NOT NULL))
) WITH (fillfactor = 70);
