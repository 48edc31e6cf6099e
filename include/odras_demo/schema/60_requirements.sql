-- Requirements with constraints, notes, history, extraction and reviews.

CREATE TABLE IF NOT EXISTS requirements_enhanced (
    requirement_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    requirement_identifier varchar(100) NOT NULL,
    requirement_title varchar(500) NOT NULL,
    requirement_text text NOT NULL,
    requirement_rationale text,
    requirement_type varchar(50) NOT NULL
        CHECK (requirement_type IN ('functional', 'non_functional', 'performance', 'safety', 'security', 'interface', 'operational', 'design', 'implementation')),
    category varchar(100),
    subcategory varchar(100),
    priority varchar(20) DEFAULT 'medium' CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    state varchar(20) DEFAULT 'draft'
        CHECK (state IN ('draft', 'review', 'approved', 'published', 'deprecated', 'cancelled', 'imported')),
    is_immutable boolean DEFAULT false,
    source_requirement_id uuid,
    source_project_id uuid REFERENCES projects (project_id) ON DELETE SET NULL,
    source_project_iri varchar(1000),
    source_namespace_path varchar(500),
    source_namespace_prefix varchar(100),
    source_document_id uuid REFERENCES files (id) ON DELETE SET NULL,
    source_section varchar(255),
    parent_requirement_id uuid REFERENCES requirements_enhanced (requirement_id) ON DELETE SET NULL,
    derived_from_requirement_id uuid REFERENCES requirements_enhanced (requirement_id) ON DELETE SET NULL,
    verification_method varchar(50)
        CHECK (verification_method IN ('test', 'analysis', 'inspection', 'demonstration', 'review')),
    verification_criteria text,
    verification_status varchar(20) DEFAULT 'not_started'
        CHECK (verification_status IN ('not_started', 'in_progress', 'passed', 'failed', 'waived')),
    verification_results text,
    verification_date timestamptz,
    is_published boolean DEFAULT false,
    published_at timestamptz,
    published_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    iri varchar(1000) UNIQUE,
    tags jsonb DEFAULT '[]',
    metadata jsonb DEFAULT '{}',
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    updated_at timestamptz DEFAULT now(),
    version integer DEFAULT 1,
    extraction_confidence numeric(3,2),
    extraction_method varchar(50),
    extraction_job_id uuid,
    UNIQUE (project_id, requirement_identifier)
);

CREATE TABLE IF NOT EXISTS requirements_constraints (
    constraint_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    requirement_id uuid NOT NULL REFERENCES requirements_enhanced (requirement_id) ON DELETE CASCADE,
    constraint_type varchar(50) NOT NULL
        CHECK (constraint_type IN ('threshold', 'objective', 'kpc', 'kpp', 'design', 'interface', 'environmental', 'equation')),
    constraint_name varchar(200) NOT NULL,
    constraint_description text NOT NULL,
    value_type varchar(20) CHECK (value_type IN ('numeric', 'range', 'enumeration', 'boolean', 'text', 'equation')),
    numeric_value numeric(20,6),
    numeric_unit varchar(50),
    range_min numeric(20,6),
    range_max numeric(20,6),
    range_unit varchar(50),
    text_value text,
    enumeration_values jsonb,
    equation_expression text,
    equation_parameters jsonb,
    measurement_method varchar(100),
    tolerance numeric(10,4),
    tolerance_unit varchar(50),
    priority varchar(20) DEFAULT 'medium' CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    source_document_id uuid REFERENCES files (id) ON DELETE SET NULL,
    source_section varchar(255),
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS requirements_notes (
    note_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    requirement_id uuid NOT NULL REFERENCES requirements_enhanced (requirement_id) ON DELETE CASCADE,
    note_text text NOT NULL,
    note_type varchar(50) DEFAULT 'general'
        CHECK (note_type IN ('general', 'issue', 'clarification', 'change_request', 'verification', 'review')),
    is_resolved boolean DEFAULT false,
    resolved_at timestamptz,
    resolved_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    resolution_text text,
    visibility varchar(20) DEFAULT 'project' CHECK (visibility IN ('private', 'project', 'public')),
    references_note_id uuid REFERENCES requirements_notes (note_id) ON DELETE SET NULL,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS requirements_history (
    history_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    requirement_id uuid NOT NULL REFERENCES requirements_enhanced (requirement_id) ON DELETE CASCADE,
    change_type varchar(50) NOT NULL
        CHECK (change_type IN ('created', 'text_updated', 'status_changed', 'verification_updated', 'published', 'deprecated')),
    change_description text,
    field_name varchar(100),
    old_value text,
    new_value text,
    change_reason text,
    impact_assessment text,
    changed_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    changed_at timestamptz DEFAULT now(),
    version_before integer,
    version_after integer
);

CREATE TABLE IF NOT EXISTS requirements_extraction_config (
    config_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    config_name varchar(200) NOT NULL,
    description text,
    functional_keywords jsonb DEFAULT '["shall", "must", "will"]',
    performance_keywords jsonb DEFAULT '["within", "at least", "no more than", "per second"]',
    constraint_keywords jsonb DEFAULT '["limited to", "between", "threshold", "objective"]',
    requirement_patterns jsonb DEFAULT '["\\bshall\\b"]',
    constraint_patterns jsonb DEFAULT '["\\b\\d+(\\.\\d+)?\\s*[a-z%]+\\b"]',
    ignore_case boolean DEFAULT true,
    min_confidence numeric(3,2) DEFAULT 0.7,
    extract_context boolean DEFAULT true,
    context_window_size integer DEFAULT 100,
    document_types jsonb DEFAULT '["specification", "requirements"]',
    section_filters jsonb,
    is_active boolean DEFAULT true,
    is_default boolean DEFAULT false,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (project_id, config_name)
);

CREATE TABLE IF NOT EXISTS requirements_extraction_jobs (
    job_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    config_id uuid REFERENCES requirements_extraction_config (config_id) ON DELETE SET NULL,
    job_name varchar(200),
    source_document_id uuid REFERENCES files (id) ON DELETE CASCADE,
    extraction_type varchar(50) DEFAULT 'document' CHECK (extraction_type IN ('document', 'batch', 'manual')),
    status varchar(20) DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    progress_percent integer DEFAULT 0,
    requirements_found integer DEFAULT 0,
    constraints_found integer DEFAULT 0,
    requirements_created integer DEFAULT 0,
    constraints_created integer DEFAULT 0,
    processing_log text,
    error_message text,
    started_at timestamptz,
    completed_at timestamptz,
    processing_duration_seconds integer,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS requirements_das_reviews (
    review_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    requirement_id uuid NOT NULL REFERENCES requirements_enhanced (requirement_id) ON DELETE CASCADE,
    review_type varchar(50) DEFAULT 'improvement'
        CHECK (review_type IN ('improvement', 'validation', 'gap_analysis', 'consistency')),
    original_text text NOT NULL,
    suggested_text text,
    das_confidence numeric(3,2),
    improvement_areas jsonb,
    issues_found jsonb,
    suggestions jsonb,
    user_rating integer,
    user_feedback text,
    accepted boolean,
    applied_suggestions jsonb,
    das_model_version varchar(50),
    review_context jsonb,
    reviewed_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    reviewed_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    CHECK (user_rating BETWEEN 1 AND 5)
);
