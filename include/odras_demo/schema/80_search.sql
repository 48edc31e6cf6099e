-- The chunks the assistant searches, and the system index.

CREATE TABLE IF NOT EXISTS das_knowledge_chunks (
    chunk_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    content text NOT NULL,
    knowledge_type varchar(50) NOT NULL CHECK (knowledge_type IN ('project', 'training', 'system')),
    domain varchar(100)
        CHECK (domain IN ('ontology', 'requirements', 'acquisition', 'odras_usage', 'systems_engineering', 'general', 'testing', 'files', 'events', 'conversation', 'knowledge')),
    project_id uuid REFERENCES projects (project_id) ON DELETE CASCADE,
    tags text[],
    metadata jsonb DEFAULT '{}',
    token_count integer DEFAULT 0,
    embedding_model varchar(100) NOT NULL DEFAULT 'all-MiniLM-L6-v2',
    qdrant_point_id uuid,
    qdrant_collection varchar(255) DEFAULT 'das_knowledge',
    sequence_number integer DEFAULT 0,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS system_index (
    index_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    entity_type varchar(50) NOT NULL,
    entity_id varchar(255) NOT NULL,
    entity_uri text,
    content_summary text,
    project_id uuid REFERENCES projects (project_id) ON DELETE CASCADE,
    metadata jsonb DEFAULT '{}',
    tags text[],
    domain varchar(100),
    indexed_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (entity_type, entity_id)
);

CREATE TABLE IF NOT EXISTS system_index_vectors (
    vector_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    index_id uuid NOT NULL REFERENCES system_index (index_id) ON DELETE CASCADE,
    sequence_number integer DEFAULT 0,
    content text NOT NULL,
    token_count integer DEFAULT 0,
    metadata jsonb DEFAULT '{}',
    embedding_model varchar(100) NOT NULL DEFAULT 'all-MiniLM-L6-v2',
    qdrant_point_id uuid,
    qdrant_collection varchar(255) DEFAULT 'system_index',
    created_at timestamptz DEFAULT now(),
    UNIQUE (index_id, sequence_number)
);
