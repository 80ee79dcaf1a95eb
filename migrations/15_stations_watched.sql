-- Stations that were known before silence was watched, and that have not been heard since: they are looked at at once, by
-- what is known of them, which is when they were last heard. Whoever was silent for a week by then is known to be, or gone.
INSERT INTO heartbeats (device, heard_at, look_at)
SELECT uid, last_seen, now() FROM devices WHERE last_seen <= now() AND last_seen > now() - interval '7 days'
    ON CONFLICT (device) DO NOTHING;
