-- Looks at the old rows for the constraint that migrations 7 and 9 replaced, under a lock that lets deliveries go on meanwhile.
ALTER TABLE delivery_contents VALIDATE CONSTRAINT delivery_contents_notice;
