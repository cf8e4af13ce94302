-- Decisions, newest first: a search looks at them all.
CREATE INDEX event_decision ON event (seq) WHERE kind = 'decision_recorded';
