-- The turns that touched a file, found by its path.
CREATE INDEX search_file_path ON search_file (path);
