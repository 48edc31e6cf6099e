-- Who runs this installation and which names it may mint: prefixes, domains, namespaces and their versions.

CREATE TABLE IF NOT EXISTS installation_config (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    installation_name varchar(255) NOT NULL,
    installation_type varchar(50) NOT NULL,
    top_level_domain varchar(10) NOT NULL,
    base_uri varchar(500) NOT NULL UNIQUE,
    organization varchar(255) NOT NULL,
    program_office varchar(255),
    authority_contact varchar(255),
    rag_implementation varchar(20) NOT NULL DEFAULT 'hardcoded',
    rag_bpmn_model varchar(100),
    rag_model_version varchar(20),
    file_processing_implementation varchar(20) NOT NULL DEFAULT 'hardcoded',
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS prefix_registry (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    prefix varchar(50) NOT NULL UNIQUE,
    description text NOT NULL,
    owner varchar(255) NOT NULL,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    created_by varchar(255) NOT NULL,
    CHECK (prefix ~ '^[a-z][a-z0-9]{1,19}$')
);

CREATE TABLE IF NOT EXISTS domain_registry (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    domain varchar(100) NOT NULL UNIQUE,
    description text NOT NULL,
    owner varchar(255) NOT NULL,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'deprecated', 'archived')),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    created_by varchar(255) NOT NULL,
    CHECK (domain ~ '^[a-z][a-z0-9-]{1,49}$')
);

CREATE TABLE IF NOT EXISTS namespace_registry (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    type varchar(50) NOT NULL
        CHECK (type IN ('core', 'service', 'domain', 'program', 'project', 'industry', 'vocab', 'shapes', 'align')),
    path varchar(500) NOT NULL,
    prefix varchar(100) NOT NULL UNIQUE,
    status varchar(50) DEFAULT 'draft' CHECK (status IN ('draft', 'released', 'deprecated')),
    owners text[],
    description text,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    UNIQUE (name, type)
);

CREATE TABLE IF NOT EXISTS namespace_versions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    namespace_id uuid REFERENCES namespace_registry (id) ON DELETE CASCADE,
    version varchar(50) NOT NULL,
    version_iri varchar(1000) NOT NULL,
    status varchar(50) DEFAULT 'draft' CHECK (status IN ('draft', 'released', 'deprecated')),
    created_at timestamp DEFAULT now(),
    released_at timestamp,
    UNIQUE (namespace_id, version)
);

CREATE TABLE IF NOT EXISTS namespace_classes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version_id uuid REFERENCES namespace_versions (id) ON DELETE CASCADE,
    local_name varchar(255) NOT NULL,
    label varchar(500) NOT NULL,
    iri varchar(1000) NOT NULL,
    comment text,
    created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now(),
    UNIQUE (version_id, local_name)
);

CREATE TABLE IF NOT EXISTS namespace_imports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_namespace_id uuid REFERENCES namespace_registry (id) ON DELETE CASCADE,
    target_namespace_id uuid REFERENCES namespace_registry (id) ON DELETE CASCADE,
    target_version_id uuid REFERENCES namespace_versions (id) ON DELETE CASCADE,
    created_at timestamp DEFAULT now(),
    UNIQUE (source_namespace_id, target_namespace_id)
);
