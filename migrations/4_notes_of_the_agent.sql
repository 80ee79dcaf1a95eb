-- What the station's agent says of its notes: when they were captured, which of them are the same, and pictures in parts.

-- A note may wait for days at the station before the Notecard stamps it, so `when` is then the moment of the hand-over.
-- The agent writes the moment of the capture into the body, and where that can be believed it is 'note'.
-- The old rows are within the new constraint, and the next migration says so; to look at them here would hold up storing.
ALTER TABLE received_events
    DROP CONSTRAINT received_events_captured_from,
    ADD CONSTRAINT received_events_captured_from CHECK (captured_from IN ('note', 'when', 'received')) NOT VALID;

-- Who was first with a note of the agent. After a power cut the agent may hand a note over once more, and Notehub then
-- gives the second event another uid; `boot` is the start of the agent, and `seq` counts the notes of that start.
-- Written by `process`, in the transaction in which the event takes effect.
CREATE TABLE notes (
    device    text   NOT NULL,
    boot      bigint NOT NULL,
    seq       bigint NOT NULL,
    file      text   NOT NULL,
    -- Of a picture that travels in several notes; 0 for all others.
    part      bigint NOT NULL,
    event_uid text   NOT NULL,
    PRIMARY KEY (device, boot, seq, file, part)
);

-- Set when the event is a note that another event brought first: then nothing followed from this one.
ALTER TABLE processed_events ADD COLUMN repeat_of text;
CREATE INDEX processed_events_repeats ON processed_events (device, repeat_of) WHERE repeat_of IS NOT NULL;

CREATE OR REPLACE VIEW events AS
SELECT r.uid, r.device, r.file, r.captured_at, r.captured_from, r.received_at, r.stored_at,
       r.raw -> 'body' AS body, r.raw, p.processed_at,
       (SELECT string_agg(e.part || ': ' || e.code || ' ' || e.message, E'\n' ORDER BY e.part)
          FROM event_errors e WHERE e.event_uid = r.uid) AS error,
       p.repeat_of
  FROM received_events r
  LEFT JOIN processed_events p USING (device, captured_at, uid);

-- Thermal pictures. `pixels` has one byte for each, row by row from the top left: 0 is `min_c`, 255 is `max_c`, and a
-- byte b is min_c + b / 255 * (max_c - min_c) degrees C.
CREATE TABLE frames (
    device    text        NOT NULL,
    -- Event and moment are those of the note that holds the first part.
    at        timestamptz NOT NULL,
    event_uid text        NOT NULL,
    width     integer     NOT NULL CONSTRAINT frames_width CHECK (width BETWEEN 1 AND 640),
    height    integer     NOT NULL CONSTRAINT frames_height CHECK (height BETWEEN 1 AND 640),
    min_c     real        NOT NULL,
    max_c     real        NOT NULL,
    pixels    bytea       NOT NULL,
    -- Which picture of the agent it is.
    file      text        NOT NULL,
    boot      bigint      NOT NULL,
    seq       bigint      NOT NULL,
    PRIMARY KEY (device, at, event_uid),
    CONSTRAINT frames_once UNIQUE (device, boot, seq, file),
    CONSTRAINT frames_pixels CHECK (octet_length(pixels) = width * height),
    -- NaN and infinity are greater than any number here, so this keeps them out as well.
    CONSTRAINT frames_range CHECK (min_c > -1000 AND min_c <= max_c AND max_c < 10000)
);

-- Parts of pictures that are not complete yet; they leave when their picture becomes a frame, and when newer ones of the
-- same device need the room. The events that brought them are kept whatever happens here.
CREATE TABLE frame_parts (
    device      text        NOT NULL,
    boot        bigint      NOT NULL,
    seq         bigint      NOT NULL,
    file        text        NOT NULL,
    part        smallint    NOT NULL CONSTRAINT frame_parts_part CHECK (part BETWEEN 1 AND 3),
    at          timestamptz NOT NULL,
    -- When it was put here: of those that wait longest the device lets go first.
    kept_at     timestamptz NOT NULL,
    event_uid   text        NOT NULL,
    min_c       real        NOT NULL,
    max_c       real        NOT NULL,
    pixels      bytea       NOT NULL CONSTRAINT frame_parts_pixels CHECK (octet_length(pixels) = 256),
    PRIMARY KEY (device, boot, seq, file, part)
);
