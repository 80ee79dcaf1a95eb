-- What pages and the API look up. Each index locks its table against writers while it is made: `process` and `deliver` wait
-- for that long, and storing does not, as it writes to neither table.

-- The deliveries of a time, newest first, whatever became of them.
CREATE INDEX delivery_contents_by_time ON delivery_contents (created_at, id);

-- Incidents page by page, of one station or of one rule, and how many there were lately.
CREATE INDEX incidents_by_device_and_id ON incidents (device, id);
CREATE INDEX incidents_by_rule_and_id ON incidents (rule, id);
CREATE INDEX incidents_by_opening ON incidents (opened_at);
