-- What PostgreSQL knows about ontologies and individuals that live as RDF; the mapping tables of the data side.

CREATE TABLE IF NOT EXISTS ontologies_registry (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES tenants (tenant_id),
    project_id uuid REFERENCES projects (project_id) ON DELETE CASCADE,
    graph_iri text NOT NULL UNIQUE,
    label text,
    role varchar(20) DEFAULT 'base',
    is_reference boolean DEFAULT false,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS individual_tables_config (
    table_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    graph_iri text NOT NULL,
    ontology_label varchar(255) NOT NULL,
    ontology_structure jsonb NOT NULL,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (project_id, graph_iri)
);

CREATE TABLE IF NOT EXISTS individual_instances (
    instance_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    table_id uuid NOT NULL REFERENCES individual_tables_config (table_id) ON DELETE CASCADE,
    class_name varchar(100) NOT NULL,
    instance_name varchar(255) NOT NULL,
    instance_uri text NOT NULL,
    properties jsonb NOT NULL DEFAULT '{}',
    validation_status varchar(20) DEFAULT 'pending'
        CHECK (validation_status IN ('valid', 'invalid', 'pending', 'warning')),
    validation_errors jsonb,
    source_type varchar(50) DEFAULT 'manual'
        CHECK (source_type IN ('manual', 'requirements_workbench', 'external_import', 'das_generated')),
    source_reference text,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (table_id, class_name, instance_name)
);

CREATE TABLE IF NOT EXISTS property_mappings (
    mapping_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL,
    graph_iri text NOT NULL,
    class_name varchar(100) NOT NULL,
    old_property_name varchar(255) NOT NULL,
    new_property_name varchar(255) NOT NULL,
    old_property_iri text,
    new_property_iri text,
    migration_status varchar(20) DEFAULT 'pending'
        CHECK (migration_status IN ('pending', 'applied', 'skipped', 'failed')),
    migration_date timestamptz,
    change_type varchar(50) NOT NULL,
    change_details jsonb,
    created_at timestamptz DEFAULT now(),
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    UNIQUE (project_id, graph_iri, class_name, old_property_name, new_property_name)
);

CREATE TABLE IF NOT EXISTS data_mapping_configs (
    mapping_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    table_id uuid NOT NULL REFERENCES individual_tables_config (table_id) ON DELETE CASCADE,
    mapping_name varchar(255) NOT NULL,
    source_format varchar(50) NOT NULL,
    target_class varchar(100) NOT NULL,
    field_mappings jsonb NOT NULL,
    transformation_rules jsonb,
    is_active boolean DEFAULT true,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS individual_import_history (
    import_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    table_id uuid NOT NULL REFERENCES individual_tables_config (table_id) ON DELETE CASCADE,
    mapping_id uuid REFERENCES data_mapping_configs (mapping_id) ON DELETE SET NULL,
    import_type varchar(50) NOT NULL,
    source_info jsonb NOT NULL,
    records_processed integer DEFAULT 0,
    records_successful integer DEFAULT 0,
    records_failed integer DEFAULT 0,
    import_status varchar(20) DEFAULT 'pending' CHECK (import_status IN ('pending', 'completed', 'failed', 'partial')),
    error_log jsonb,
    created_by uuid REFERENCES users (user_id) ON DELETE SET NULL,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS microtheories (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    label varchar(255) NOT NULL,
    description text,
    iri varchar(1000) NOT NULL UNIQUE,
    parent_iri varchar(1000),
    is_default boolean DEFAULT false,
    created_by uuid REFERENCES users (user_id),
    created_at timestamptz DEFAULT now(),
    updated_by uuid REFERENCES users (user_id),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (project_id, label)
);

CREATE TABLE IF NOT EXISTS mt_ontology_dependencies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    mt_id uuid NOT NULL REFERENCES microtheories (id) ON DELETE CASCADE,
    ontology_graph_iri text NOT NULL,
    referenced_element_iri text NOT NULL,
    element_type varchar(50) NOT NULL
        CHECK (element_type IN ('Class', 'ObjectProperty', 'DatatypeProperty', 'Individual', 'Other')),
    first_detected_at timestamptz DEFAULT now(),
    last_validated_at timestamptz,
    is_valid boolean DEFAULT true,
    UNIQUE (mt_id, referenced_element_iri)
);

CREATE TABLE IF NOT EXISTS cqs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (project_id) ON DELETE CASCADE,
    cq_name varchar(255) NOT NULL,
    problem_text text NOT NULL,
    params_json jsonb DEFAULT '{}',
    sparql_text text NOT NULL,
    mt_iri_default varchar(1000),
    contract_json jsonb NOT NULL,
    status varchar(50) DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'deprecated')),
    created_by uuid REFERENCES users (user_id),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    UNIQUE (project_id, cq_name)
);

CREATE TABLE IF NOT EXISTS cq_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    cq_id uuid NOT NULL REFERENCES cqs (id) ON DELETE CASCADE,
    mt_iri varchar(1000) NOT NULL,
    params_json jsonb DEFAULT '{}',
    pass boolean NOT NULL,
    reason text,
    row_count integer,
    columns_json jsonb,
    rows_preview_json jsonb,
    latency_ms integer,
    executed_by uuid REFERENCES users (user_id),
    created_at timestamptz DEFAULT now()
);
