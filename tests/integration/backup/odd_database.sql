-- Everything that is seldom seen in a database.
CREATE ROLE odd_group NOLOGIN; CREATE ROLE odd_member NOLOGIN; CREATE ROLE "Odd Röle" NOLOGIN;
GRANT odd_group TO odd_member;
CREATE SCHEMA app; CREATE SCHEMA "Üñï ""q"".Schema"; CREATE SCHEMA empty_one AUTHORIZATION odd_group;
CREATE TYPE app.mood AS ENUM ('fine', 'so-so', 'Ünder'); ALTER TYPE app.mood ADD VALUE 'first' BEFORE 'fine';
BEGIN; COMMIT; -- before it can be used
CREATE DOMAIN app.positive AS numeric(12,4) CHECK (VALUE > 0);
CREATE TYPE app.pair AS (x int, y text, m app.mood);
CREATE TYPE app.span AS RANGE (subtype = float8);
CREATE COLLATION app.c_like FROM "C";
CREATE FUNCTION app.double(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n * 2';
CREATE TABLE app.every (
    id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 7) PRIMARY KEY,
    a smallint, b int, c bigint, d real, e float8, f numeric, g numeric(30,10), h money, i "char", j char(5), k varchar(9),
    l text COLLATE app.c_like, m bytea, n date, o time, p timetz, q timestamp, r timestamptz, s interval, t boolean,
    u uuid, v json, w jsonb, x text, y inet, z cidr, aa macaddr, ab macaddr8, ac bit(5), ad varbit, ae point, af line,
    ag lseg, ah box, ai path, aj polygon, ak circle, al tsvector, am tsquery, an int4range, ao nummultirange, ap app.span,
    aq int[], ar text[][], as_ app.mood[], at app.pair, au app.pair[], av app.positive, aw oid, ax regclass, ay xid8,
    az pg_lsn, ba name, bb jsonpath, bc tid, bd int GENERATED ALWAYS AS (b + 1) STORED, gone text,
    serial_like int DEFAULT 7);
ALTER TABLE app.every DROP COLUMN gone;
INSERT INTO app.every (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab, ac, ad, ae, af,
    ag, ah, ai, aj, ak, al, am, an, ao, ap, aq, ar, as_, at, au, av, aw, ax, ay, az, ba, bb, bc)
VALUES (-32768, 2147483646, -9223372036854775808, 1e-40, 'NaN', 'NaN', 12345678901234567890.0123456789, '-1.23', 'x', 'ab',
    E'tab\t\\', E'line\nbreak \u00e9\U0001F600', '\x00ff10', '4713-01-01 BC', '24:00', '12:00+05:30', 'infinity',
    '294276-12-31 23:59:59.999999+00', '-1 mon 3 days -04:05:06.7', NULL, '7f3c0000-0000-0000-0000-00000000000a',
    '{"b": 1,  "b": 2, "n": 1.0}', '{"n": 1.00, "é": [null, 1e400]}', '<a/>', '10.1.2.3/8', '10.0.0.0/8',
    '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'1', '(1e-300,2)', '{1,2,3}', '[(0,0),(1,1)]',
    '(1,1),(0,0)', '((0,0),(1,1))', '((0,0),(1,1),(2,0))', '<(0,0),3>', 'a:1 fat:2 cat:3', 'fat & !rat', '[1,5)',
    '{[1,2),[3.5,)}', '[-0,1e300]', '{1,NULL,3}', '{{a,"b c"},{NULL,"NULL"}}', '{fine,Ünder}', '(1,"a,b",fine)',
    ARRAY[ROW(2,'"q"',NULL)::app.pair], 0.5, 4294967295, 'app.every', '18446744073709551615', '16/B374D848', 'näme',
    '$.a[*] ? (@ > 1)', '(0,1)');
CREATE TABLE "Üñï ""q"".Schema"."Tä.ble ""%s""" ("Cö l %s" int[] PRIMARY KEY, "select" text, "100%" int);
INSERT INTO "Üñï ""q"".Schema"."Tä.ble ""%s""" VALUES ('{1,2}', '%s', 1), ('{}', NULL, 2);
CREATE TABLE app.wide_key (d date, i interval, b bytea, note text, PRIMARY KEY (d, i) INCLUDE (note));
INSERT INTO app.wide_key VALUES ('infinity', '1 mon', '\x00', NULL), ('0044-03-15 BC', '30 days', '\xff', 'ides');
CREATE TABLE app.json_key (k jsonb PRIMARY KEY, m app.mood UNIQUE); INSERT INTO app.json_key VALUES ('{"a": 1}', 'first');
CREATE TABLE app.empty (LIKE app.every INCLUDING ALL);
CREATE TABLE app.no_columns (); INSERT INTO app.no_columns DEFAULT VALUES; INSERT INTO app.no_columns DEFAULT VALUES;
CREATE UNLOGGED TABLE app.unlogged AS SELECT n FROM generate_series(1, 10) n;
CREATE TABLE app.parent (id int PRIMARY KEY, word text); CREATE TABLE app.child (extra int) INHERITS (app.parent);
INSERT INTO app.parent VALUES (1, 'parent'); INSERT INTO app.child VALUES (1, 'child', 9), (2, 'child', 9);
CREATE TABLE app.ranged (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.ranged_25 PARTITION OF app.ranged FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY HASH (id);
CREATE TABLE app.ranged_25_a PARTITION OF app.ranged_25 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.ranged_25_b PARTITION OF app.ranged_25 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE app.ranged_rest PARTITION OF app.ranged DEFAULT;
INSERT INTO app.ranged SELECT n, date '2024-12-30' + n FROM generate_series(1, 40) n;
CREATE TABLE app.hen (id int PRIMARY KEY, egg int NOT NULL);
CREATE TABLE app.egg (id int PRIMARY KEY, hen int NOT NULL REFERENCES app.hen DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE app.hen ADD FOREIGN KEY (egg) REFERENCES app.egg DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE app.hen ADD mother int REFERENCES app.hen;
BEGIN; INSERT INTO app.hen VALUES (1, 1, NULL), (2, 2, 1); INSERT INTO app.egg VALUES (1, 2), (2, 1); COMMIT;
ALTER TABLE app.egg ADD CONSTRAINT later CHECK (hen > 1) NOT VALID;
CREATE TABLE app.stamped (id int PRIMARY KEY, body text, changed timestamptz DEFAULT now());
CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed = clock_timestamp(); RETURN NEW; END $$;
INSERT INTO app.stamped SELECT n, 'b' || n, '2020-01-01' FROM generate_series(1, 5) n;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON app.stamped FOR EACH ROW EXECUTE FUNCTION app.stamp();
CREATE TRIGGER never BEFORE DELETE ON app.stamped FOR EACH ROW EXECUTE FUNCTION app.stamp();
ALTER TABLE app.stamped DISABLE TRIGGER never;
CREATE TABLE app.hidden (id int PRIMARY KEY, who text); INSERT INTO app.hidden VALUES (1, 'a'), (2, 'b');
ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE app.hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.hidden TO odd_group USING (who = current_user);
GRANT SELECT (id), UPDATE ON app.hidden TO odd_group WITH GRANT OPTION; ALTER TABLE app.child OWNER TO "Odd Röle";
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO odd_group;
CREATE VIEW app.few WITH (security_barrier) AS SELECT id, at FROM app.every WHERE b > 0;
CREATE MATERIALIZED VIEW app.many AS SELECT id, app.double(id) AS twice FROM app.ranged; CREATE UNIQUE INDEX ON app.many (id);
CREATE MATERIALIZED VIEW app.unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE quiet AS ON DELETE TO app.few DO INSTEAD NOTHING;
CREATE INDEX odd_index ON app.every USING gin (w jsonb_path_ops) WHERE b IS NOT NULL;
CREATE INDEX ON app.stamped (lower(body) DESC NULLS LAST) INCLUDE (changed);
CREATE STATISTICS app.related ON n, o FROM app.every;
CREATE SEQUENCE app."Sëq" AS smallint MINVALUE -5 MAXVALUE 100 START 3 CYCLE; SELECT nextval('app."Sëq"'), nextval('app."Sëq"');
CREATE SEQUENCE app.untouched;
COMMENT ON TABLE app.every IS E'it''s "everything"\nü'; COMMENT ON COLUMN app.every.a IS 'a'; COMMENT ON SCHEMA app IS 'the app';
COMMENT ON TRIGGER stamp ON app.stamped IS 'stamps';
SELECT lo_from_bytea(700001, decode(repeat('ab00', 3000), 'hex')), lo_create(700002);
COMMENT ON LARGE OBJECT 700001 IS 'large'; GRANT SELECT ON LARGE OBJECT 700001 TO odd_group;
CREATE PUBLICATION odd_publication FOR TABLE app.parent;
CREATE EXTENSION vector SCHEMA app; CREATE TABLE app.embedded (id int PRIMARY KEY, v app.vector(3));
INSERT INTO app.embedded VALUES (1, '[1,2,3]'); CREATE INDEX ON app.embedded USING hnsw (v app.vector_l2_ops);
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER odd_watch ON ddl_command_end EXECUTE FUNCTION app.watch();
CREATE CAST (app.pair AS text) WITH INOUT; CREATE OPERATOR app.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE AGGREGATE app.product (int) (SFUNC = int4mul, STYPE = int);
CREATE TEXT SEARCH CONFIGURATION app.plain (COPY = simple);
