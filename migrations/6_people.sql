-- People: who is signed in, what they did, and what they asked to be quiet about.

-- A browser that is signed in. The cookie holds a random token, and only its digest is here.
CREATE TABLE sessions (
    token_digest      bytea       PRIMARY KEY,
    -- The name of a configured user, or 'people' for whoever holds the people token.
    person            text        NOT NULL,
    -- Digest of what it was opened with: a session ends when that password or token is replaced.
    credential_digest bytea       NOT NULL,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    CONSTRAINT sessions_expire CHECK (created_at < expires_at)
);
CREATE INDEX sessions_expired ON sessions (expires_at);

-- What people did that changes something, by whichever way they came in. Only ever inserted into.
CREATE TABLE audit (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    person      text        NOT NULL,
    via         text        NOT NULL CONSTRAINT audit_via CHECK (via IN ('page', 'api', 'sms', 'command')),
    action      text        NOT NULL,
    -- What it was done to, for people to read: `incident 17`, `delivery …`, `silence 3`.
    subject     text        NOT NULL,
    -- Set when it belongs into the timeline of an incident.
    incident_id bigint      REFERENCES incidents (id),
    detail      jsonb       NOT NULL DEFAULT '{}' CONSTRAINT audit_detail_is_object CHECK (jsonb_typeof(detail) = 'object')
);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_incident ON audit (incident_id, at) WHERE incident_id IS NOT NULL;

-- A time in which nobody is told of a rule at a station. What happens meanwhile is recorded as always.
CREATE TABLE silences (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Absent means all of them.
    device     text,
    rule       text,
    starts_at  timestamptz NOT NULL,
    -- Moved here when somebody ends it early.
    ends_at    timestamptz NOT NULL,
    author     text        NOT NULL,
    reason     text        NOT NULL,
    ended_by   text,
    CONSTRAINT silences_in_order CHECK (starts_at <= ends_at)
);
CREATE INDEX silences_by_end ON silences (ends_at);
