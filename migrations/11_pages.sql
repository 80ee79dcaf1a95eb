-- What the pages look at: days of measurements in short, and what a station's Notecard said of its power and its radio.

-- What the newest session or health note says; absent where none ever did.
ALTER TABLE devices
    -- Of the Notecard's supply, in V.
    ADD COLUMN voltage    double precision,
    ADD COLUMN voltage_at timestamptz,
    -- Signal: 0 to 4 bars, and dBm.
    ADD COLUMN bars       integer,
    ADD COLUMN rssi       integer,
    ADD COLUMN signal_at  timestamptz;

-- One day (of UTC) of one series of one device in short, so that a chart of years reads hundreds of rows and not a million:
-- for each hour that has measurements, their number, sum, lowest and highest. Only days that are over are here.
-- Written by `process::rollup`.
CREATE TABLE measurement_days (
    device text               NOT NULL,
    series text               NOT NULL,
    day    date               NOT NULL,
    -- Of the whole day.
    count  integer            NOT NULL,
    total  double precision   NOT NULL,
    low    double precision   NOT NULL,
    high   double precision   NOT NULL,
    -- Of each hour that has any.
    hours  smallint[]         NOT NULL,
    counts integer[]          NOT NULL,
    totals double precision[] NOT NULL,
    lows   double precision[] NOT NULL,
    highs  double precision[] NOT NULL,
    PRIMARY KEY (device, series, day),
    CONSTRAINT measurement_days_one_of_each_an_hour CHECK (cardinality(hours) BETWEEN 1 AND 24
        AND cardinality(counts) = cardinality(hours) AND cardinality(totals) = cardinality(hours)
        AND cardinality(lows) = cardinality(hours) AND cardinality(highs) = cardinality(hours))
);
CREATE INDEX measurement_days_by_day ON measurement_days USING brin (day);

-- Days of a device that hold measurements which `measurement_days` does not know of yet: who reads looks at the
-- measurements themselves for these. Set in the transaction that writes measurements; taken away by who brings the day
-- up to date while it holds the device's shard, so that no measurement is ever missed.
CREATE TABLE measurement_days_due (
    shard  smallint    NOT NULL,
    device text        NOT NULL,
    day    date        NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (device, day)
);
CREATE INDEX measurement_days_due_by_shard ON measurement_days_due (shard, day);

-- What there is already has to be read once. Which days that are is told by when a device was seen, because to ask the
-- events themselves would hold up the start; a note may have waited for weeks before the device was first heard.
INSERT INTO measurement_days_due (shard, device, day, due_at)
SELECT shard_of(uid), uid, d::date, '-infinity'::timestamptz
  FROM devices, generate_series((first_seen AT TIME ZONE 'UTC')::date - 40, (last_seen AT TIME ZONE 'UTC')::date, interval '1 day') AS d;

-- Of a fleet, few stations are not normal.
CREATE INDEX alerts_not_normal ON alerts (device) WHERE state <> 'normal';
CREATE INDEX incidents_open_by_device ON incidents (device) WHERE resolved_at IS NULL;

-- What a station is like now: `firing`, `silent`, `recovering`, `pending` or `normal`, the most pressing of them, whether
-- it is also silent, and who took what is open, if somebody took all of it.
CREATE VIEW station_states AS
SELECT d.uid AS device,
       CASE WHEN a.rank = 1 THEN 'firing' WHEN coalesce(i.silent, false) THEN 'silent' WHEN a.rank = 2 THEN 'recovering'
            WHEN a.rank = 3 THEN 'pending' ELSE 'normal' END AS state,
       coalesce(i.silent, false) AS silent,
       coalesce(i.open, 0) AS open_incidents,
       i.acknowledged_by
  FROM devices AS d
  LEFT JOIN (SELECT device, min(array_position('{firing,recovering,pending}'::text[], state)) AS rank
               FROM alerts WHERE state <> 'normal' AND rule <> 'silent' GROUP BY device) AS a ON a.device = d.uid
  LEFT JOIN (SELECT device, bool_or(rule = 'silent') AS silent, count(*) AS open,
                    CASE WHEN bool_and(acknowledged_by IS NOT NULL) THEN min(acknowledged_by) END AS acknowledged_by
               FROM incidents WHERE resolved_at IS NULL GROUP BY device) AS i ON i.device = d.uid;
