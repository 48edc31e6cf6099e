-- Projects form a lattice of levels 0 to 3; relationships and subscriptions cross it.

CREATE TABLE IF NOT EXISTS projects (
    project_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    description text,
    namespace_id uuid REFERENCES namespace_registry (id) ON DELETE CASCADE,
    domain varchar(255),
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'archived', 'deprecated')),
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true,
    iri varchar(1000) UNIQUE,
    project_level integer,
    parent_project_id uuid REFERENCES projects (project_id) ON DELETE SET NULL,
    publication_status varchar(20) DEFAULT 'draft'
        CHECK (publication_status IN ('draft', 'review', 'published', 'deprecated')),
    published_at timestamptz,
    published_by uuid REFERENCES users (user_id),
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES tenants (tenant_id),
    CHECK (project_level BETWEEN 0 AND 3),
    CHECK (project_id <> parent_project_id)
);

CREATE TABLE IF NOT EXISTS project_members (
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    role varchar(50) DEFAULT 'member',
    joined_at timestamptz DEFAULT now(),
    PRIMARY KEY (user_id, project_id)
);

CREATE TABLE IF NOT EXISTS project_relationships (
    relationship_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    target_project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    relationship_type varchar(50) NOT NULL,
    description text,
    created_by uuid REFERENCES users (user_id),
    created_at timestamptz DEFAULT now(),
    UNIQUE (source_project_id, target_project_id, relationship_type),
    CHECK (source_project_id <> target_project_id)
);

CREATE TABLE IF NOT EXISTS cross_domain_knowledge_links (
    link_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    target_project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    link_type varchar(50) NOT NULL,
    source_element_iri text,
    target_element_iri text,
    identified_by varchar(50) NOT NULL,
    confidence double precision,
    status varchar(20) DEFAULT 'proposed' CHECK (status IN ('proposed', 'approved', 'rejected')),
    approved_by uuid REFERENCES users (user_id),
    approved_at timestamptz,
    created_by uuid REFERENCES users (user_id),
    created_at timestamptz DEFAULT now(),
    UNIQUE (source_project_id, target_project_id, link_type),
    CHECK (confidence BETWEEN 0 AND 1)
);

CREATE TABLE IF NOT EXISTS project_event_subscriptions (
    subscription_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    event_type varchar(100) NOT NULL,
    source_project_id uuid REFERENCES projects (project_id) ON DELETE CASCADE,
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS project_assumptions (
    assumption_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    content text NOT NULL,
    created_at timestamptz DEFAULT now(),
    created_by uuid REFERENCES users (user_id),
    conversation_context text,
    status varchar(50) DEFAULT 'active' CHECK (status IN ('active', 'validated', 'invalidated', 'archived')),
    notes text
);
