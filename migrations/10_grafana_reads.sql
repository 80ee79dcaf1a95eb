-- What Grafana, and whoever else only looks, may read: the tables and views that README.md lists, and nothing else.
--
-- A role belongs to the whole server, not to this database: another database may have made it, or be making it at this
-- moment, and who migrates may not be allowed to make roles at all. So nothing of this can fail the migration. Where it
-- was not possible a notice says so, and an administrator makes up for it later:
--
--     CREATE ROLE thermal_watch_grafana NOLOGIN;        -- who may create roles
--     SELECT grant_to_grafana();                        -- the owner of the tables
--
-- The role cannot log in. A login of the installation's own, with its password, is made a member of it.

-- Grants anew, as often as wanted, and says what came of it. Granted is what is named here: a table that is added later
-- stays closed until its migration replaces this function and calls it. Closed for good are `sessions` and `audit`, and
-- whatever only the stages need.
CREATE FUNCTION grant_to_grafana() RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    open_to_readers CONSTANT text[] := ARRAY['events', 'measurements', 'devices', 'deliveries', 'attempts', 'incidents',
        'alerts', 'silences', 'frames', 'frame_parts', 'rejected'];
    readable text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'thermal_watch_grafana') THEN
        RETURN 'there is no role thermal_watch_grafana; have one made by CREATE ROLE thermal_watch_grafana NOLOGIN';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO thermal_watch_grafana', current_schema());
    FOREACH readable IN ARRAY open_to_readers LOOP
        EXECUTE format('GRANT SELECT ON %I.%I TO thermal_watch_grafana', current_schema(), readable);
    END LOOP;
    RETURN 'thermal_watch_grafana may read ' || array_to_string(open_to_readers, ', ');
END
$$;
REVOKE EXECUTE ON FUNCTION grant_to_grafana() FROM PUBLIC;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'thermal_watch_grafana') THEN
        CREATE ROLE thermal_watch_grafana NOLOGIN;
    END IF;
EXCEPTION
    -- Made by another database's migration since we looked.
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN OTHERS THEN RAISE NOTICE 'the role thermal_watch_grafana cannot be made here: %', SQLERRM;
END
$$;

DO $$
BEGIN
    RAISE NOTICE '%', grant_to_grafana();
EXCEPTION
    WHEN OTHERS THEN RAISE NOTICE 'Grafana''s role could not be let in; call grant_to_grafana() later: %', SQLERRM;
END
$$;
