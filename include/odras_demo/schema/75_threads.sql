-- Project threads, their events and chats. Project ids are text here and may name no project at all.

CREATE TABLE IF NOT EXISTS project_thread (
    project_thread_id text PRIMARY KEY,
    project_id text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz DEFAULT now(),
    last_activity timestamptz DEFAULT now(),
    status text DEFAULT 'active' CHECK (status IN ('active', 'archived', 'completed')),
    goals text,
    current_workbench text
);

CREATE TABLE IF NOT EXISTS project_event (
    event_id text PRIMARY KEY,
    project_thread_id text NOT NULL REFERENCES project_thread (project_thread_id) ON DELETE CASCADE,
    project_id text NOT NULL,
    user_id text NOT NULL,
    event_type text NOT NULL,
    event_data jsonb NOT NULL DEFAULT '{}',
    context_snapshot jsonb,
    semantic_summary text,
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS thread_conversation (
    conversation_id text PRIMARY KEY,
    project_thread_id text NOT NULL REFERENCES project_thread (project_thread_id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content text NOT NULL,
    metadata jsonb DEFAULT '{}',
    created_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS chat_message (
    message_id text PRIMARY KEY,
    session_id text NOT NULL,
    project_id text NOT NULL,
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    content text NOT NULL,
    created_at timestamptz DEFAULT now()
);
