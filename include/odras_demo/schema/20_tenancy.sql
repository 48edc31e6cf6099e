-- Tenants, users and their tokens. password_hash, salt and auth_tokens are secrets: every reader redacts them.

CREATE TABLE IF NOT EXISTS tenants (
    tenant_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_code varchar(50) NOT NULL UNIQUE,
    tenant_name varchar(255) NOT NULL,
    tenant_type varchar(50) DEFAULT 'organization',
    parent_tenant_id uuid REFERENCES tenants (tenant_id),
    max_projects integer DEFAULT 1000,
    max_users integer DEFAULT 500,
    max_storage_gb integer DEFAULT 100,
    base_iri varchar(1000) NOT NULL,
    custom_domain varchar(255),
    features_enabled text[],
    status varchar(20) DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'archived')),
    subscription_tier varchar(20) DEFAULT 'basic',
    created_by uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    CHECK (tenant_code ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(tenant_code) BETWEEN 3 AND 50)
);

CREATE TABLE IF NOT EXISTS users (
    user_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username varchar(255) NOT NULL UNIQUE,
    display_name varchar(255) NOT NULL,
    password_hash varchar(255),
    salt varchar(255),
    is_admin boolean DEFAULT false,
    is_active boolean DEFAULT true,
    iri varchar(1000) UNIQUE,
    tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000' REFERENCES tenants (tenant_id),
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS tenant_members (
    tenant_id uuid NOT NULL REFERENCES tenants (tenant_id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    role varchar(50) DEFAULT 'member' CHECK (role IN ('admin', 'member', 'viewer')),
    joined_at timestamptz DEFAULT now(),
    invited_by uuid REFERENCES users (user_id),
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE IF NOT EXISTS auth_tokens (
    token_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash varchar(64) NOT NULL UNIQUE,
    user_id uuid NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
    username varchar(255) NOT NULL,
    is_admin boolean NOT NULL DEFAULT false,
    created_at timestamptz DEFAULT now(),
    expires_at timestamptz DEFAULT (now() + interval '24 hours'),
    last_used_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true
);

-- Tenants and users point at each other; this is the one reference that cannot stand in its table.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'tenants'::regclass AND conname = 'tenants_created_by_fkey') THEN
        ALTER TABLE tenants ADD CONSTRAINT tenants_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (user_id);
    END IF;
END
$$;
