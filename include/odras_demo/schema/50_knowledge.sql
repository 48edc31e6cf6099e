-- Uploaded files and the text taken from them. doc and doc_chunk belong to the default ingest; knowledge_chunks are its copies.
-- files and knowledge_assets carry a project id without a foreign key: a deleted project leaves them behind.

CREATE TABLE IF NOT EXISTS files (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES tenants (tenant_id),
    project_id uuid NOT NULL,
    filename varchar(500) NOT NULL,
    original_filename varchar(500),
    content_type varchar(200),
    file_size bigint NOT NULL,
    storage_backend varchar(50) DEFAULT 'local',
    storage_path varchar(500),
    storage_key varchar(500),
    hash_md5 varchar(32),
    hash_sha256 varchar(64),
    metadata jsonb DEFAULT '{}',
    tags jsonb DEFAULT '[]',
    iri varchar(1000) UNIQUE,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    created_by varchar(255),
    is_deleted boolean DEFAULT false,
    status varchar(50) DEFAULT 'new',
    processing_started_at timestamptz,
    processing_completed_at timestamptz,
    processing_error text
);

CREATE TABLE IF NOT EXISTS file_content (
    file_id uuid PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    content bytea NOT NULL,
    compressed boolean DEFAULT false,
    encryption_key_id varchar(255)
);

CREATE TABLE IF NOT EXISTS knowledge_assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES tenants (tenant_id),
    source_file_id uuid REFERENCES files (id) ON DELETE SET NULL,
    project_id uuid NOT NULL,
    title varchar(512) NOT NULL,
    document_type varchar(50) NOT NULL DEFAULT 'unknown',
    content_summary text,
    metadata jsonb NOT NULL DEFAULT '{}',
    iri varchar(1000) UNIQUE,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    version varchar(20) DEFAULT '1.0.0',
    status varchar(20) DEFAULT 'active',
    processing_stats jsonb,
    is_public boolean DEFAULT false,
    made_public_at timestamptz,
    made_public_by varchar(255),
    traceability_status varchar(50) DEFAULT 'linked' CHECK (traceability_status IN ('linked', 'orphaned', 'archived')),
    orphaned_at timestamptz,
    orphaned_reason varchar(255)
);

CREATE TABLE IF NOT EXISTS knowledge_chunks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    asset_id uuid REFERENCES knowledge_assets (id) ON DELETE CASCADE,
    sequence_number integer NOT NULL,
    chunk_type varchar(50) NOT NULL DEFAULT 'text',
    content text NOT NULL,
    token_count integer DEFAULT 0,
    metadata jsonb NOT NULL DEFAULT '{}',
    embedding_model varchar(100),
    qdrant_point_id uuid,
    created_at timestamptz DEFAULT now(),
    UNIQUE (asset_id, sequence_number)
);

CREATE TABLE IF NOT EXISTS knowledge_relationships (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_asset_id uuid REFERENCES knowledge_assets (id) ON DELETE CASCADE,
    target_asset_id uuid REFERENCES knowledge_assets (id) ON DELETE CASCADE,
    source_chunk_id uuid REFERENCES knowledge_chunks (id) ON DELETE SET NULL,
    target_chunk_id uuid REFERENCES knowledge_chunks (id) ON DELETE SET NULL,
    relationship_type varchar(100) NOT NULL,
    confidence_score real DEFAULT 0.0,
    metadata jsonb DEFAULT '{}',
    neo4j_relationship_id bigint,
    created_at timestamptz DEFAULT now(),
    UNIQUE (source_asset_id, target_asset_id, relationship_type)
);

CREATE TABLE IF NOT EXISTS knowledge_processing_jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    asset_id uuid REFERENCES knowledge_assets (id) ON DELETE CASCADE,
    job_type varchar(50) NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'pending',
    progress_percent integer DEFAULT 0,
    error_message text,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz DEFAULT now(),
    metadata jsonb DEFAULT '{}'
);

CREATE TABLE IF NOT EXISTS doc (
    doc_id text PRIMARY KEY,
    project_id text NOT NULL,
    filename text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    sha256 text NOT NULL,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS doc_chunk (
    chunk_id text PRIMARY KEY,
    doc_id text NOT NULL REFERENCES doc (doc_id) ON DELETE CASCADE,
    chunk_index integer NOT NULL,
    text text NOT NULL,
    page integer,
    start_char integer,
    end_char integer,
    created_at timestamptz DEFAULT now()
);
