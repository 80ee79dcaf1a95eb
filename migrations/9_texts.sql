-- Text messages both ways: what phones sent us, and how far what we sent them got.

-- A text from a known number, once by the id that Twilio gives it. It is written in the transaction of what it asked for,
-- with the answer that was given: who brings it again gets the same answer, and nothing is done a second time.
CREATE TABLE inbound_texts (
    message_sid text        PRIMARY KEY,
    at          timestamptz NOT NULL,
    -- The number that it came from, in international form.
    sender      text        NOT NULL,
    body        text        NOT NULL,
    -- What it was taken for.
    command     text        NOT NULL CONSTRAINT inbound_texts_command CHECK (command IN ('acknowledge', 'status', 'silence', 'help', 'carrier', 'unknown')),
    incident_id bigint,
    -- The answer as TwiML, byte for byte.
    answer      text        NOT NULL
);
CREATE INDEX inbound_texts_by_sender ON inbound_texts (sender, at);
CREATE INDEX inbound_texts_by_time ON inbound_texts (at);

-- What Twilio reported of a text, a row for each status that it told. Reports come late, twice and in any order, so none
-- replaces another: which of them counts is decided when they are read.
CREATE TABLE text_statuses (
    message_sid text        NOT NULL,
    status      text        NOT NULL CONSTRAINT text_statuses_status CHECK (status ~ '^[a-z_]{1,32}$'),
    -- Whose text it is; a status can come before the answer to the sending has.
    delivery_id uuid        NOT NULL,
    at          timestamptz NOT NULL,
    -- Twilio's, for what failed.
    error_code  integer,
    PRIMARY KEY (message_sid, status)
);
CREATE INDEX text_statuses_by_delivery ON text_statuses (delivery_id);
CREATE INDEX text_statuses_by_time ON text_statuses (at);

-- The picture of an incident is sent after its opening text, as a notice of its own. The old rows are within the new
-- constraint; to look at them here would hold up storing.
ALTER TABLE delivery_contents
    DROP CONSTRAINT delivery_contents_notice,
    ADD CONSTRAINT delivery_contents_notice CHECK (notice IN ('opened', 'reminder', 'escalated', 'resolved', 'picture')) NOT VALID;

-- What is open, by its latest notice: pictures are looked for where there was one just now.
CREATE INDEX incidents_open_told ON incidents (last_notice_at) WHERE resolved_at IS NULL;
