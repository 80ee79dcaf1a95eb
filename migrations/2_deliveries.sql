-- The duty to get one body to one destination once, and every try at it.
--
-- What is to be sent never changes (`delivery_contents`); how far it got does, twice or more per delivery
-- (`delivery_states`). Kept apart, a step forward rewrites 100 bytes and not the body. People read the view `deliveries`.

CREATE TABLE delivery_contents (
    -- Derived from what the delivery is for (event and route, or incident and notice), so that processing an event again
    -- cannot make a second delivery, and a destination can drop repeats by it.
    id          uuid        PRIMARY KEY,
    event_uid   text,
    incident_id bigint,
    route       text,
    device      text        NOT NULL,
    -- Opened, reminder or resolved, for the notices of an incident.
    notice      text        CONSTRAINT delivery_contents_notice CHECK (notice IN ('opened', 'reminder', 'resolved')),
    created_at  timestamptz NOT NULL,
    -- Not jsonb: what is sent is this text, byte for byte.
    body        json        NOT NULL,
    CONSTRAINT delivery_contents_route_or_notice CHECK ((route IS NOT NULL AND event_uid IS NOT NULL) <> (incident_id IS NOT NULL AND notice IS NOT NULL))
);
CREATE INDEX delivery_contents_by_event ON delivery_contents (event_uid) WHERE event_uid IS NOT NULL;
CREATE INDEX delivery_contents_by_incident ON delivery_contents (incident_id) WHERE incident_id IS NOT NULL;

CREATE TABLE delivery_states (
    id           uuid        PRIMARY KEY,
    destination  text        NOT NULL,
    state        text        NOT NULL CONSTRAINT delivery_states_state CHECK (state IN ('due', 'leased', 'delivered', 'dead')),
    due_at       timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0 CONSTRAINT delivery_states_attempts CHECK (attempts >= 0),
    -- Who holds the claim, and until when; whoever finishes must still be the holder.
    lease        uuid,
    leased_at    timestamptz,
    leased_until timestamptz,
    -- When it was last made due on request, and how many attempts it had had by then: those do not count against it.
    replayed_at     timestamptz,
    attempts_before integer     NOT NULL DEFAULT 0,
    -- When an attempt started of which it is not known whether it arrived.
    ambiguous_at timestamptz,
    ended_at     timestamptz,
    -- Why it is where it is: why it is tried again, or why it is dead.
    reason       text,
    CONSTRAINT delivery_states_lease CHECK ((state = 'leased') = (lease IS NOT NULL) AND (lease IS NULL) = (leased_at IS NULL) AND (lease IS NULL) = (leased_until IS NULL)),
    CONSTRAINT delivery_states_ended CHECK ((state IN ('delivered', 'dead')) = (ended_at IS NOT NULL))
);
CREATE INDEX delivery_states_due ON delivery_states (destination, due_at) WHERE state = 'due';
CREATE INDEX delivery_states_leased ON delivery_states (leased_until) WHERE state = 'leased';
CREATE INDEX delivery_states_dead ON delivery_states (destination, ended_at) WHERE state = 'dead';

CREATE TABLE attempts (
    delivery_id uuid        NOT NULL,
    number      integer     NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    outcome     text        NOT NULL CONSTRAINT attempts_outcome CHECK (outcome IN ('delivered', 'retry', 'refused')),
    status      integer,
    -- The start of the answer, our own secrets blotted out.
    answer      text        NOT NULL,
    -- What the attempt showed and what follows from it.
    reason      text,
    PRIMARY KEY (delivery_id, number)
);

CREATE VIEW deliveries AS
SELECT c.id, c.event_uid, c.incident_id, c.route, s.destination, c.device, c.notice, c.body, c.created_at,
       s.state, s.due_at, s.attempts, s.leased_until, s.ended_at, s.reason
  FROM delivery_contents c
  JOIN delivery_states s USING (id);
