-- What pages and the API look up. Each index locks its table against writers while it is made: `process` waits for that
-- long, and storing does not, as it does not write to it. The deliveries of a time have their index from migration 8.

-- Incidents page by page, of one station or of one rule, and how many there were lately.
CREATE INDEX incidents_by_device_and_id ON incidents (device, id);
CREATE INDEX incidents_by_rule_and_id ON incidents (rule, id);
CREATE INDEX incidents_by_opening ON incidents (opened_at);
