-- Looks at the old rows for the constraint of the migration before, under a lock that lets events be stored meanwhile.
ALTER TABLE received_events VALIDATE CONSTRAINT received_events_captured_from;
