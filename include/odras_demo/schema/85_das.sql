-- The assistant itself: training material, personas, teams, tools and what it learned.

CREATE TABLE IF NOT EXISTS das_training_collections (
    collection_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    collection_name varchar(255) NOT NULL UNIQUE,
    display_name varchar(255) NOT NULL,
    description text,
    domain varchar(100) NOT NULL,
    vector_size integer NOT NULL DEFAULT 384,
    embedding_model varchar(100) NOT NULL DEFAULT 'all-MiniLM-L6-v2',
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true,
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS das_training_assets (
    asset_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    collection_id uuid NOT NULL REFERENCES das_training_collections (collection_id) ON DELETE CASCADE,
    source_file_id uuid REFERENCES files (id) ON DELETE SET NULL,
    title varchar(512) NOT NULL,
    description text,
    source_type varchar(50) NOT NULL,
    source_url text,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    processing_status varchar(20) DEFAULT 'pending',
    chunk_count integer DEFAULT 0,
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS das_training_chunks (
    chunk_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    asset_id uuid NOT NULL REFERENCES das_training_assets (asset_id) ON DELETE CASCADE,
    collection_id uuid NOT NULL REFERENCES das_training_collections (collection_id) ON DELETE CASCADE,
    sequence_number integer NOT NULL,
    content text NOT NULL,
    token_count integer DEFAULT 0,
    metadata jsonb DEFAULT '{}',
    embedding_model varchar(100),
    qdrant_point_id uuid,
    created_at timestamptz DEFAULT now(),
    UNIQUE (asset_id, sequence_number)
);

CREATE TABLE IF NOT EXISTS das_personas (
    persona_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL UNIQUE,
    description text,
    role varchar(50) NOT NULL CHECK (role IN ('researcher', 'analyst', 'writer', 'moderator', 'specialist')),
    system_prompt text NOT NULL,
    capabilities text[],
    temperature double precision DEFAULT 0.7,
    domain varchar(100),
    tags text[],
    metadata jsonb DEFAULT '{}',
    created_by varchar(255) NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true,
    is_system boolean DEFAULT false,
    CHECK (temperature BETWEEN 0 AND 1)
);

CREATE TABLE IF NOT EXISTS das_teams (
    team_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL UNIQUE,
    description text,
    domain varchar(100),
    persona_ids uuid[],
    workflow_config jsonb DEFAULT '{}',
    coordination_strategy varchar(50) DEFAULT 'moderator'
        CHECK (coordination_strategy IN ('moderator', 'parallel', 'sequential', 'custom')),
    tags text[],
    metadata jsonb DEFAULT '{}',
    created_by varchar(255) NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true,
    is_system boolean DEFAULT false
);

CREATE TABLE IF NOT EXISTS das_mcp_servers (
    server_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL UNIQUE,
    description text,
    endpoint varchar(500) NOT NULL,
    server_type varchar(100),
    capabilities text[],
    tools_cache jsonb DEFAULT '{}',
    status varchar(50) DEFAULT 'unknown' CHECK (status IN ('available', 'unavailable', 'error', 'unknown')),
    last_discovered_at timestamptz,
    last_health_check_at timestamptz,
    metadata jsonb DEFAULT '{}',
    tags text[],
    created_by varchar(255) NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true
);

CREATE TABLE IF NOT EXISTS das_interactions (
    interaction_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    interaction_type varchar(50) NOT NULL
        CHECK (interaction_type IN ('query', 'feedback', 'correction', 'task_completion', 'error')),
    user_id varchar(255) NOT NULL,
    project_id uuid,
    query text NOT NULL,
    response text NOT NULL,
    context jsonb DEFAULT '{}',
    feedback varchar(50) CHECK (feedback IN ('positive', 'negative', 'correction', 'clarification')),
    correction text,
    corrected_response text,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS das_learning_insights (
    insight_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    insight_type varchar(100) NOT NULL,
    description text NOT NULL,
    confidence double precision DEFAULT 0.5,
    recommendations text[],
    persona_name varchar(255),
    domain varchar(100),
    source_interaction_ids uuid[],
    applied_at timestamptz,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true,
    CHECK (confidence BETWEEN 0 AND 1)
);

CREATE TABLE IF NOT EXISTS das_runtime_tools (
    tool_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    description text,
    tool_type varchar(50) NOT NULL
        CHECK (tool_type IN ('data_fetcher', 'calculator', 'transformer', 'workflow', 'knowledge_creator', 'custom')),
    code text NOT NULL,
    capabilities text[],
    created_by varchar(255) NOT NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    usage_count integer DEFAULT 0,
    last_used_at timestamptz DEFAULT now(),
    tags text[],
    metadata jsonb DEFAULT '{}',
    is_active boolean DEFAULT true
);
