CREATE TABLE workspaces (
	id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	notifications JSON NOT NULL,
	deleted BOOLEAN NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE actors (
	id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	workspace_id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	type VARCHAR NOT NULL,
	definition_id VARCHAR NOT NULL,
	configuration JSON NOT NULL,
	secret_paths JSON NOT NULL,
	created_at INTEGER NOT NULL,
	deleted BOOLEAN NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(workspace_id) REFERENCES workspaces (id)
);
CREATE INDEX ix_actors_workspace_id ON actors (workspace_id);
CREATE TABLE tags (
	id VARCHAR NOT NULL,
	workspace_id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	color VARCHAR NOT NULL,
	created INTEGER NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(workspace_id) REFERENCES workspaces (id)
);
CREATE INDEX ix_tags_workspace_id ON tags (workspace_id);
CREATE TABLE connections (
	id VARCHAR NOT NULL,
	workspace_id VARCHAR NOT NULL,
	source_id VARCHAR NOT NULL,
	destination_id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	schedule JSON NOT NULL,
	namespace_definition VARCHAR NOT NULL,
	namespace_format VARCHAR,
	prefix VARCHAR NOT NULL,
	schema_updates VARCHAR NOT NULL,
	streams JSON NOT NULL,
	catalog JSON NOT NULL,
	tags JSON NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(workspace_id) REFERENCES workspaces (id),
	FOREIGN KEY(source_id) REFERENCES actors (id),
	FOREIGN KEY(destination_id) REFERENCES actors (id)
);
CREATE INDEX ix_connections_source_id ON connections (source_id);
CREATE INDEX ix_connections_destination_id ON connections (destination_id);
CREATE INDEX ix_connections_workspace_id ON connections (workspace_id);
CREATE TABLE states (
	connection_id VARCHAR NOT NULL,
	part VARCHAR NOT NULL,
	states JSON NOT NULL,
	PRIMARY KEY (connection_id, part),
	FOREIGN KEY(connection_id) REFERENCES connections (id)
);
CREATE TABLE jobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	connection_id VARCHAR NOT NULL,
	workspace_id VARCHAR NOT NULL,
	type VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	created_at DOUBLE NOT NULL,
	started_at DOUBLE,
	updated_at DOUBLE NOT NULL,
	stats JSON NOT NULL,
	failure JSON,
	FOREIGN KEY(connection_id) REFERENCES connections (id)
);
CREATE INDEX ix_jobs_workspace_id ON jobs (workspace_id);
CREATE INDEX jobs_by_connection ON jobs (connection_id, status);
CREATE INDEX connections_by_schedule ON connections (json_extract(schedule, '$.scheduleType'));
INSERT INTO workspaces VALUES ('11111111-1111-4111-8111-111111111111', 'Old workspace', '{}', 0);
INSERT INTO actors VALUES ('22222222-2222-4222-8222-222222222222', 'source', '11111111-1111-4111-8111-111111111111', 'old source', 'faker', 'dfd88b22-b603-4c3d-aad7-3701784586b1', '{"count": 3}', '[["api_key"]]', 1795478400, 0);
INSERT INTO actors VALUES ('33333333-3333-4333-8333-333333333333', 'destination', '11111111-1111-4111-8111-111111111111', 'old destination', 'duckdb', '94bd199c-2ff0-4aa2-b98e-17f0acb72610', '{"destination_path": "lms.duckdb"}', '[["motherduck_api_key"]]', 1795478400, 0);
INSERT INTO connections VALUES ('44444444-4444-4444-8444-444444444444', '11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222', '33333333-3333-4333-8333-333333333333', 'old connection', 'active', '{"scheduleType": "manual"}', 'destination', NULL, '', 'ignore', '[{"name": "users", "syncMode": "full_refresh_overwrite", "cursorField": ["updated_at"], "primaryKey": [["id"]], "mappers": [], "selectedFields": []}]', '[{"name": "users", "json_schema": {"type": "object", "properties": {"id": {"type": ["null", "integer"]}, "name": {"type": ["null", "string"]}, "updated_at": {"type": ["null", "string"]}}}, "supported_sync_modes": ["full_refresh", "incremental"], "source_defined_primary_key": [["id"]], "source_defined_cursor": true, "default_cursor_field": ["updated_at"]}]', '[]', 1795478400);
INSERT INTO jobs VALUES (7, '44444444-4444-4444-8444-444444444444', '11111111-1111-4111-8111-111111111111', 'sync', 'succeeded', 1795478400.0, 1795478401.0, 1795478410.0, '[{"streamName": "users", "streamNamespace": null, "recordsEmitted": 3, "bytesEmitted": 100, "recordsCommitted": 3, "bytesCommitted": 100}]', NULL);
