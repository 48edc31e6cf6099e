-- Candidate architectures made from requirements, by hand or by the assistant.

CREATE TABLE IF NOT EXISTS configurations (
    config_id varchar(36) PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    name varchar(255) NOT NULL,
    ontology_graph text NOT NULL,
    source_requirement varchar(36),
    structure jsonb NOT NULL,
    das_metadata jsonb DEFAULT '{}',
    created_by uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    created_at timestamptz DEFAULT now(),
    modified_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS configuration_nodes (
    node_id varchar(100) PRIMARY KEY,
    config_id varchar(36) NOT NULL REFERENCES configurations (config_id) ON DELETE CASCADE,
    node_type varchar(50) NOT NULL,
    label varchar(255) NOT NULL,
    properties jsonb DEFAULT '{}',
    das_metadata jsonb DEFAULT '{}',
    style jsonb DEFAULT '{}',
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS configuration_edges (
    edge_id varchar(100) PRIMARY KEY,
    config_id varchar(36) NOT NULL REFERENCES configurations (config_id) ON DELETE CASCADE,
    source_id varchar(100) NOT NULL,
    target_id varchar(100) NOT NULL,
    edge_type varchar(50) NOT NULL,
    label varchar(255) NOT NULL,
    properties jsonb DEFAULT '{}',
    das_metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS configuration_clusters (
    cluster_id varchar(100) PRIMARY KEY,
    config_id varchar(36) REFERENCES configurations (config_id) ON DELETE CASCADE,
    label varchar(255) NOT NULL,
    node_ids jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS configuration_individual_sync (
    sync_id varchar(36) PRIMARY KEY,
    config_id varchar(36) NOT NULL REFERENCES configurations (config_id) ON DELETE CASCADE,
    table_id uuid NOT NULL REFERENCES individual_tables_config (table_id) ON DELETE CASCADE,
    instance_id uuid NOT NULL,
    node_id varchar(100) NOT NULL,
    sync_status varchar(20) NOT NULL DEFAULT 'synced' CHECK (sync_status IN ('synced', 'modified', 'deleted')),
    last_sync_at timestamptz DEFAULT now(),
    UNIQUE (config_id, instance_id)
);

CREATE TABLE IF NOT EXISTS das_generation_jobs (
    job_id varchar(36) PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    status varchar(20) NOT NULL DEFAULT 'started'
        CHECK (status IN ('started', 'processing', 'completed', 'failed', 'cancelled')),
    progress numeric(5,2) DEFAULT 0.00,
    requirement_ids jsonb,
    das_options jsonb,
    filters jsonb,
    results jsonb,
    errors jsonb,
    configurations_generated integer DEFAULT 0,
    error_message text,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
