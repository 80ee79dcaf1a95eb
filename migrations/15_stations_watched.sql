-- Stations that were known before silence was watched, and that have not been heard since: they are looked at at once, by
-- what is known of them, which is when they were last heard.
INSERT INTO heartbeats (device, heard_at, look_at)
SELECT uid, last_seen, now() FROM devices WHERE last_seen <= now()
    ON CONFLICT (device) DO NOTHING;
