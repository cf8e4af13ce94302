-- Where a turn begins, found without reading every event of its session.
CREATE INDEX event_turn ON event (session, json_extract(body, '$.data.turn')) WHERE kind = 'turn_started';
