-- How much each route has made of late, for the page of routes. Rows of one batch share their moment, so Postgres keeps
-- them in a few bytes each, and they are added at the end of their route.
CREATE INDEX delivery_contents_by_route ON delivery_contents (route, created_at) WHERE route IS NOT NULL;
